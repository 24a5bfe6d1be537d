import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

/** A module that is loaded when it is needed first; null until then. */
export function useLater<T>(load: () => Promise<T>): T | null {
  const loaded = useSignal<T | null>(null);
  useEffect(() => {
    void load().then((module) => {
      loaded.value = module;
    });
  }, []);
  return loaded.value;
}
