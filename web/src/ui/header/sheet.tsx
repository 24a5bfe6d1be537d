import { useEffect, useRef } from 'preact/hooks';

const SHEET: readonly (readonly [string, string])[] = [
  ['Space', 'hold the charts, or go back to live'],
  ['Left, Right', 'look back, and forward again'],
  ['+ −', 'a shorter or a longer window'],
  ['0', 'back to live'],
  [
    '/',
    'search panels by words or a selector, or ask in PromQL: with a parenthesis, an operator between blanks, or = before it',
  ],
  ['?', 'this sheet'],
  ['Drag', 'zoom into a time'],
  ['Escape', 'zoom out again, as a double click and the browser’s Back do'],
  ['Shift + drag', 'look back, as the wheel with Shift does, and a finger on a touch screen'],
  ['f, Escape', 'in kiosk: full screen, and out again'],
  ['Two fingers', 'zoom into a time, and out again'],
  ['Tab to a chart, Left, Right', 'read its values; faster with Shift, Enter pins them'],
  [
    'Tab to states, arrows',
    'read what was held when: Left and Right in a row, Up and Down the rows',
  ],
  ['Click', 'pin the values of a time; a click there, or Escape, unpins them'],
  [
    'Click in a legend',
    'hide a line, or show it again; with Ctrl or Shift, or a finger that stays: show it alone',
  ],
  ['Ctrl + P', 'print all of the page, also what is out of sight'],
  ['Ctrl + Z, S', 'in the editor: take back, save'],
];

/** Lists the keys of the page, with a link to the API, until it is closed. */
export function Sheet({ onClose }: { onClose: () => void }) {
  const root = useRef<HTMLDialogElement>(null);
  useEffect(() => root.current!.showModal(), []);
  return (
    <dialog ref={root} class="sheet" aria-label="Keys" onClose={onClose}>
      <dl>
        {SHEET.map(([key, meaning]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog">
        <button type="submit">Close</button>
      </form>
      <p>
        <a href="docs">The API of this service</a>: how metrics are sent to it, and read from it.
      </p>
    </dialog>
  );
}
