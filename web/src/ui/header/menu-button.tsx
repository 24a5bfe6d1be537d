import type { Signal } from '@preact/signals';

export const ALL = 'All metrics';

export interface MenuProps {
  /** The name of the dashboard that is shown; null for all metrics. */
  readonly name: string | null;
  readonly open: Signal<boolean>;
}

/** Says which dashboard this is; pressed, it leads to others. */
export function MenuButton({
  name,
  open,
  title,
  list,
}: MenuProps & {
  readonly title?: string | undefined;
  /** The id of the list that it opens. */
  readonly list?: string;
}) {
  return (
    <button
      type="button"
      aria-expanded={open.value}
      aria-controls={list}
      onClick={() => (open.value = !open.value)}
    >
      <span class="unseen">Dashboard: </span>
      <span class="name">{name === null ? ALL : (title ?? name)}</span>
    </button>
  );
}
