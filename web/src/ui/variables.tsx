/**
 * What only a dashboard with variables needs: fields to choose their values, and filling these into
 * its panels.
 */

import './variables.css';
import { type Signal, signal, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { ALL, chosenOf, meaningsOf, type Values } from '../dashboards/filling.ts';
import type { Kept, Variable } from '../dashboards/model.ts';
import { labelValues, soughtBy } from '../dashboards/values.ts';
import type { View } from '../state/view.ts';
import { Picker } from './picker.tsx';

export { fillPanels, fillText, meaningsOf, singlesOf, within } from '../dashboards/filling.ts';
export { isRepeated, repeated } from '../dashboards/repeating.ts';
export { checked } from '../dashboards/values.ts';

/** Milliseconds between two requests for the values of a variable. */
const LOOK_MS = 5_000;
/** With more values than these, there is a list that can be searched instead of a select. */
const FEW = 12;

interface ChoicesProps {
  readonly kept: Kept;
  readonly view: View;
}

/** The values that there are to choose from, by variable, as far as they are known. */
export const known: Signal<Values> = signal({});

/** A field for each variable. */
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
          onKnown={(all) => (known.value = { ...known.value, [variable.name]: all })}
          onFound={(chosen) => view.quietly(() => set(variable.name, chosen))}
        />
      ))}
    </>
  );
}

interface ChoiceProps {
  readonly variable: Variable;
  /**
   * The selector of the series whose label has its values; null if it has none, or it isn't known
   * yet.
   */
  readonly sought: string | null;
  readonly chosen: readonly string[] | undefined;
  readonly onChange: (chosen: readonly string[]) => void;
  /** Called with all values when they are there, or are others. */
  readonly onKnown: (values: readonly string[]) => void;
  /**
   * Called with the first value when the values are there and none was chosen, or what was chosen
   * is none of them.
   */
  readonly onFound: (chosen: readonly string[]) => void;
}

/** The field of one variable. It has its first value until somebody chooses another. */
function Choice({ variable, sought, chosen, onChange, onKnown, onFound }: ChoiceProps) {
  const { name, title = name, label, values: listed, multi = false, all = false } = variable;
  const found = useSignal<readonly string[] | null>(null);
  /** The selector that the present values were found by. */
  const had = useRef<string | null>(null);
  const now = useRef({ chosen, onKnown, onFound });
  now.current = { chosen, onKnown, onFound };
  useEffect(() => {
    if (label === undefined || sought === null) {
      return;
    }
    let over = false;
    const look = (): void => {
      // If there is no answer, the values stay as they are.
      labelValues(label, sought).then(
        (values) => {
          if (over) {
            return;
          }
          const others = had.current !== null && had.current !== sought;
          had.current = sought;
          if (`${values}` !== `${found.value}`) {
            found.value = values;
            now.current.onKnown(values);
          }
          const { chosen: before, onFound: choose } = now.current;
          const gone = before?.every((value) => value !== ALL && !values.includes(value));
          // If a variable that it depends on has changed, the chosen value may not exist any more.
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
