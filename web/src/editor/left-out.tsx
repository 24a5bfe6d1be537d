import './style/left-out.css';
import { Dialog } from './dialog.tsx';
import { byPlace, type Imported } from './model/importing.ts';

interface LeftOutProps {
  readonly imported: Imported;
  readonly onTake: () => void;
  readonly onClose: () => void;
}

/** What a dashboard from Grafana loses, before it is taken. */
export function LeftOut({ imported, onTake, onClose }: LeftOutProps) {
  const { dashboard, panels, taken, left_out: left } = imported;
  const places = [...byPlace(left)];
  return (
    <Dialog title={`Import ${dashboard.title}`} onClose={onClose} wide>
      <p>
        {taken} of {panels} panels can be taken
        {left.length === 0 ? ', and nothing is left out.' : '. This is left out:'}
      </p>
      {places.length > 0 && (
        // biome-ignore lint/a11y/useSemanticElements: it is no part of a form.
        <div
          class="left-out"
          role="group"
          aria-label="What is left out"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard.
          tabIndex={0}
        >
          <dl>
            {places.map(([where, reasons]) => (
              <div key={where}>
                <dt>{where}</dt>
                {reasons.map((reason) => (
                  <dd key={reason}>{reason}</dd>
                ))}
              </div>
            ))}
          </dl>
        </div>
      )}
      <p class="remark">Nothing is saved before you save it, and it can be taken back.</p>
      <div class="actions">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" class="first" onClick={onTake}>
          Take it
        </button>
      </div>
    </Dialog>
  );
}
