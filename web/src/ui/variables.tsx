/** What a dashboard with variables has in addition: values to choose from, and panels of them. */

import './variables.css';
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { ALL, chosenOf, meaningsOf } from '../dashboards/filling.ts';
import type { Kept, Variable } from '../dashboards/model.ts';
import { labelValues, soughtBy } from '../dashboards/values.ts';
import type { View } from '../state/view.ts';
import { Picker } from './picker.tsx';

export { fillPanels, fillText, meaningsOf } from '../dashboards/filling.ts';
export { checked } from '../dashboards/values.ts';

/** Milliseconds after which it is looked whether variables have other values. */
const LOOK_MS = 5_000;
/** Of more values, a list is offered that can be searched. */
const FEW = 12;

interface ChoicesProps {
  readonly kept: Kept;
  readonly view: View;
}

/** A choice for each variable. */
export function Choices({ kept, view }: ChoicesProps) {
  const { variables = [] } = kept;
  const { values } = view;
  const meanings = meaningsOf(kept, values.value, 1);
  const names = new Set(variables.map(({ name }) => name));
  const set = (name: string, chosen: readonly string[]): void => {
    values.value = { ...values.value, [name]: chosen };
  };
  return (
    <>
      {variables.map((variable) => (
        <Choice
          key={variable.name}
          variable={variable}
          sought={soughtBy(variable, meanings, names)}
          chosen={chosenOf(variable, values.value)}
          onChange={(chosen) => set(variable.name, chosen)}
          onFound={(chosen) => view.quietly(() => set(variable.name, chosen))}
        />
      ))}
    </>
  );
}

interface ChoiceProps {
  readonly variable: Variable;
  /** The selector that its values are sought by; null where it has none, or not yet. */
  readonly sought: string | null;
  readonly chosen: readonly string[] | undefined;
  readonly onChange: (chosen: readonly string[]) => void;
  /** There are values now, and none of them was chosen yet. */
  readonly onFound: (chosen: readonly string[]) => void;
}

/** What a variable stands for; the first of its values until somebody chooses. */
function Choice({ variable, sought, chosen, onChange, onFound }: ChoiceProps) {
  const { name, title = name, label, values: listed, multi = false, all = false } = variable;
  const found = useSignal<readonly string[] | null>(null);
  /** The selector of the values that are there. */
  const had = useRef<string | null>(null);
  const now = useRef({ chosen, onFound });
  now.current = { chosen, onFound };
  useEffect(() => {
    if (label === undefined || sought === null) {
      return;
    }
    let over = false;
    const look = (): void => {
      // Without an answer there are the values that were there.
      labelValues(label, sought).then(
        (values) => {
          if (over) {
            return;
          }
          const others = had.current !== null && had.current !== sought;
          had.current = sought;
          found.value = values;
          const { chosen: before, onFound: choose } = now.current;
          const gone = before?.every((value) => value !== ALL && !values.includes(value));
          // Where what it depends on has become another, what was chosen may be of that no more.
          if (values.length > 0 && (before === undefined || (others && gone))) {
            choose(values.slice(0, 1));
          }
        },
        () => {},
      );
    };
    look();
    const timer = setInterval(look, LOOK_MS);
    return () => {
      over = true;
      clearInterval(timer);
    };
  }, [label, sought]);
  const values = listed ?? found.value ?? [];
  const picked = chosen ?? [];
  const lost = picked.filter((value) => value !== ALL && !values.includes(value));
  const offered = [...lost, ...values];
  if (multi || offered.length > FEW) {
    return (
      <Picker
        title={title}
        values={offered}
        lost={found.value === null ? [] : lost}
        chosen={picked}
        multi={multi}
        all={all}
        onChange={onChange}
      />
    );
  }
  return (
    <label class="variable">
      {title}{' '}
      <select value={picked[0]} onChange={(event) => onChange([event.currentTarget.value])}>
        {all && <option value={ALL}>All</option>}
        {offered.map((one) => (
          <option key={one} value={one}>
            {found.value !== null && lost.includes(one) ? `${one} (not there now)` : one}
          </option>
        ))}
      </select>
    </label>
  );
}
