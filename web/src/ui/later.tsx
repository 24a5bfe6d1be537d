import { useSignal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { useEffect } from 'preact/hooks';
import { loadPart } from '../browser/part.ts';

/**
 * A component that is loaded when it is first shown: `of` picks it from its module. Until then
 * `meanwhile` is shown.
 */
export function later<Part, P extends object>(
  part: () => Promise<Part>,
  of: (part: Part) => ComponentType<P>,
  meanwhile?: ComponentType<P>,
): ComponentType<P> {
  return function Later(props: P) {
    const shown = useSignal(meanwhile);
    useEffect(() => {
      void loadPart(part).then((there) => {
        shown.value = of(there);
      });
    }, []);
    const Shown = shown.value;
    return Shown && <Shown {...props} />;
  };
}
