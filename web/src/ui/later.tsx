import { useSignal } from '@preact/signals';
import type { ComponentChildren, ComponentType } from 'preact';
import { useEffect } from 'preact/hooks';
import { loadPart } from '../browser/part.ts';

/**
 * A component that is loaded when it is first shown: `of` picks it from its module. Until then
 * `meanwhile` is shown.
 */
export function later<Part, P extends object>(
  part: () => Promise<Part>,
  of: (part: Part) => ComponentType<P>,
  meanwhile: ComponentChildren = null,
): ComponentType<P> {
  return function Later(props: P) {
    const loaded = useSignal<ComponentType<P> | null>(null);
    useEffect(() => {
      void loadPart(part).then((there) => {
        loaded.value = of(there);
      });
    }, []);
    const Loaded = loaded.value;
    return Loaded === null ? meanwhile : <Loaded {...props} />;
  };
}
