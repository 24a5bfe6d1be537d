import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

/** What may be longer than its place. Then it scrolls, and a keyboard reaches it. */
export function Scroller({ label, children }: { label: string; children: ComponentChildren }) {
  const root = useRef<HTMLDivElement>(null);
  const long = useSignal(false);
  useLayoutEffect(() => {
    const { current } = root;
    const look = new ResizeObserver(() => {
      long.value = current!.scrollHeight > current!.clientHeight;
    });
    look.observe(current!);
    look.observe(current!.firstElementChild!);
    return () => look.disconnect();
  }, []);
  return (
    <div
      class="scroller"
      ref={root}
      {...(long.value && { tabIndex: 0, role: 'region', 'aria-label': label })}
    >
      {children}
    </div>
  );
}
