import type { View } from '../state/view.ts';

/** What of the address can't be shown: that is said, and what is as usual is shown instead. */
export function Wrong({ view: { wrong } }: { view: View }) {
  return (
    <div class="news wrong">
      <div role="alert">
        {wrong.value.map((one) => (
          <p key={one}>{one}</p>
        ))}
      </div>
      <button type="button" onClick={() => (wrong.value = [])}>
        Dismiss
      </button>
    </div>
  );
}
