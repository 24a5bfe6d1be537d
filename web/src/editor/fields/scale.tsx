/** What the lines of a selector are called. */
export function Legend({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  return (
    <label>
      Names of its lines
      <input
        type="text"
        maxLength={200}
        placeholder="{{host}} reads"
        value={value}
        onInput={({ currentTarget }) => onChange(currentTarget.value)}
      />
    </label>
  );
}

interface BoundProps {
  readonly title: string;
  readonly value: number | undefined;
  readonly above?: number | undefined;
  readonly onChange: (value: number | undefined) => void;
}

/** One end of a scale; empty to follow the values. */
export function Bound({ title, value, above, onChange }: BoundProps) {
  return (
    <label>
      {title}
      <input
        type="number"
        step="any"
        placeholder="as the values have it"
        value={value}
        onInput={({ currentTarget }) => {
          const { valueAsNumber } = currentTarget;
          currentTarget.setCustomValidity(
            above !== undefined && valueAsNumber <= above ? `More than ${above}` : '',
          );
          onChange(Number.isNaN(valueAsNumber) ? undefined : valueAsNumber);
        }}
      />
    </label>
  );
}
