/** What a colour begins as when one is wanted. */
const FIRST = '#3274d9';

interface ColourProps {
  readonly value: string | undefined;
  readonly onChange: (colour: string | undefined) => void;
}

/** A colour of one's own, or none. */
export function Colour({ value, onChange }: ColourProps) {
  return (
    <>
      <label class="check">
        <input
          type="checkbox"
          checked={value !== undefined}
          onChange={({ currentTarget }) => onChange(currentTarget.checked ? FIRST : undefined)}
        />
        A colour of its own
      </label>
      {value !== undefined && (
        <label>
          Colour
          <input
            type="color"
            value={value}
            onInput={({ currentTarget }) => onChange(currentTarget.value)}
          />
        </label>
      )}
    </>
  );
}
