import './prose.css';
import { useSignal } from '@preact/signals';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { rendered } from './markdown.ts';

/** A text in Markdown. A keyboard can scroll it where it is longer than its panel. */
export function Prose({ text, level }: { text: string; level: number }) {
  const root = useRef<HTMLDivElement>(null);
  const long = useSignal(false);
  useLayoutEffect(() => {
    root.current!.replaceChildren(rendered(text, level));
    const look = new ResizeObserver(() => {
      const { scrollHeight, clientHeight } = root.current!;
      long.value = scrollHeight > clientHeight;
    });
    look.observe(root.current!);
    return () => look.disconnect();
  }, [text, level]);
  return (
    <div
      class="prose"
      ref={root}
      {...(long.value && { tabIndex: 0, role: 'region', 'aria-label': 'Text' })}
    />
  );
}
