import type { View } from '../state/view.ts';

/** Says which parts of the address can't be read. Their defaults are shown instead. */
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
