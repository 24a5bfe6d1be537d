import { useSignal } from '@preact/signals';
import type { ComponentChildren, ComponentType } from 'preact';
import { useEffect } from 'preact/hooks';

/** A component that is loaded when it is shown first; until then there is what is `meanwhile`. */
export function later<P extends object>(
  load: () => Promise<ComponentType<P>>,
  meanwhile: ComponentChildren = null,
): ComponentType<P> {
  return function Later(props: P) {
    const loaded = useSignal<ComponentType<P> | null>(null);
    useEffect(() => {
      void load().then((component) => {
        loaded.value = component;
      });
    }, []);
    const Loaded = loaded.value;
    return Loaded === null ? meanwhile : <Loaded {...props} />;
  };
}
