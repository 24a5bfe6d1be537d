import type { ReadonlySignal, Signal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { labelText } from '../../client/protocol/selector.ts';
import { printable } from '../../format/printable.ts';
import type { Format } from '../../format/units.ts';
import { detailed, tellDetails } from '../../panels/arrangement.ts';
import { reached, type Threshold } from '../../panels/model.ts';
import { isolate, isShown, lines, showAll, toggle } from '../../panels/shown.ts';
import { summaryOf } from '../../panels/summary.ts';
import type { Dashboard } from '../../state/dashboard.ts';
import type { Member, Panel } from '../../store/panel.ts';
import { FEW, holdOrder, rank } from '../../store/ranking.ts';
import { latestOf, valueAt } from '../../store/rate.ts';
import { Mark } from '../mark.tsx';
import { Swatch } from '../swatch.tsx';

/** A touch of at least this many milliseconds is a long press. */
const LONG_PRESS_MS = 500;

interface LegendProps {
  /** The id of the panel, by which the choice of lines is saved. */
  readonly id: string;
  readonly panel: Panel;
  readonly dashboard: Dashboard;
  readonly format: Format;
  /** The identity of the focused line. */
  readonly focus: Signal<string | null>;
  /** Whether the panel is in sight; if not, its values may be old. */
  readonly inSight: ReadonlySignal<boolean>;
  readonly thresholds?: readonly Threshold[] | undefined;
}

/**
 * The names of the lines, with their values now or at the pointer, and with minimum, maximum and
 * mean if chosen. A click hides a line or shows it again; with Ctrl, Shift or the command key it
 * shows the line alone.
 */
export function Legend({ id, panel, dashboard, format, focus, inSight, thresholds }: LegendProps) {
  const [all, setAll] = useState(false);
  // A legend out of sight is not rendered again.
  const seen = inSight.value;
  const now = seen ? dashboard.time.now.value : dashboard.time.now.peek();
  const ranked = rank(panel, now);
  const shown = all ? ranked : ranked.slice(0, FEW);
  const more = ranked.length - FEW;
  const left = lines.value.has(id) ? ranked.filter((member) => isShown(id, member)).length : null;
  return (
    <div
      class="legend"
      onPointerEnter={() => holdOrder(panel, true)}
      onPointerLeave={() => holdOrder(panel, false)}
      onFocusCapture={() => holdOrder(panel, true)}
      onBlurCapture={() => holdOrder(panel, false)}
    >
      <p class="labels">
        <span>{panel.distinguishing.join(' · ')}</span>
        {more > 0 && (
          <button type="button" class="more" aria-expanded={all} onClick={() => setAll(!all)}>
            {all ? 'Show fewer' : `${more} more`}
          </button>
        )}
        {left !== null && (
          <button type="button" class="every" onClick={() => showAll(id)}>
            {left} of {ranked.length} shown · show all
          </button>
        )}
        <button
          type="button"
          aria-pressed={detailed.value}
          title="Lowest, highest and mean of each line in this window"
          onClick={() => tellDetails(!detailed.value)}
        >
          min · max · mean
        </button>
      </p>
      <div class="rows">
        <ul class={detailed.value ? 'detailed' : ''}>
          {shown.map((member) => (
            <Entry
              key={member.series.identity}
              id={id}
              member={member}
              panel={panel}
              format={format}
              focus={focus}
              thresholds={thresholds}
              now={now}
              windowMs={detailed.value ? dashboard.time.windowMs.value : null}
              hover={seen ? (dashboard.hover.value ?? dashboard.time.heldAt.value) : null}
            />
          ))}
        </ul>
      </div>
    </div>
  );
}

interface EntryProps {
  readonly id: string;
  readonly member: Member;
  readonly format: Format;
  readonly focus: Signal<string | null>;
  readonly thresholds: readonly Threshold[] | undefined;
  readonly now: number;
  readonly panel: Panel;
  /** The span of minimum, maximum and mean; null if they are not shown. */
  readonly windowMs: number | null;
  readonly hover: number | null;
}

function Entry(props: EntryProps) {
  const { id, member, panel, focus, thresholds, now, windowMs, hover } = props;
  const { series, title, colour, format = props.format } = member;
  const silent = series.gone || series.isSilent(now);
  const { raw } = panel;
  const value = hover === null ? latestOf(series, raw) : valueAt(series, hover, raw);
  const did = windowMs === null ? null : summaryOf(series, now - windowMs, now, raw);
  const labels = Object.entries(series.labels).map(
    ([name, text]) => `${printable(labelText(name))}="${printable(text)}"`,
  );
  const shown = isShown(id, member);
  /** A long press shows the line alone, like a click with Ctrl. */
  const pressing = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const pressed = useRef(false);
  const release = (): void => clearTimeout(pressing.current);
  useEffect(() => release, []);
  const choose = (event: MouseEvent | KeyboardEvent): void => {
    if (pressed.current) {
      pressed.current = false;
      return; // the end of a long press
    }
    if (event.ctrlKey || event.metaKey || event.shiftKey) {
      isolate(id, member);
    } else {
      toggle(id, member);
    }
  };
  return (
    <li class={silent ? 'silent' : ''}>
      <button
        type="button"
        class={focus.value === series.identity ? 'looked' : ''}
        aria-pressed={shown}
        title={[
          `${labels.join(', ')}${series.ended ? ' (ended)' : silent ? ' (silent)' : ''}`,
          `Click ${shown ? 'hides' : 'shows'} it, Ctrl + click or a long press shows it alone`,
        ].join('\n')}
        onClick={choose}
        onPointerDown={({ pointerType }) => {
          release();
          pressed.current = false;
          if (pointerType === 'touch') {
            pressing.current = setTimeout(() => {
              pressed.current = true;
              isolate(id, member);
            }, LONG_PRESS_MS);
          }
        }}
        onPointerUp={release}
        onPointerCancel={release}
        onContextMenu={(event) => {
          // The context menu that a long press opens on a phone.
          if (pressed.current) {
            event.preventDefault();
          }
        }}
        onKeyDown={(event) => {
          // Not all browsers report the modifier keys of a click by keyboard.
          if (event.key === 'Enter' && (event.ctrlKey || event.metaKey || event.shiftKey)) {
            event.preventDefault();
            choose(event);
          }
        }}
        onPointerEnter={() => (focus.value = series.identity)}
        onPointerLeave={() => (focus.value = null)}
        onFocus={() => (focus.value = series.identity)}
        onBlur={() => (focus.value = null)}
      >
        <Swatch colour={colour} />
        <span class="name">{title || series.name}</span>
        <Mark threshold={silent ? null : reached(thresholds, value)} />
        <span class="value" style={{ color: format.meant?.(value)?.colour }}>
          {silent && hover === null ? (series.ended ? 'ended' : 'silent') : format.value(value)}
        </span>
        {did !== null && (
          <>
            <span class="did">
              <span class="unseen">min </span>
              {format.value(did.least)}
            </span>
            <span class="did">
              <span class="unseen">max </span>
              {format.value(did.most)}
            </span>
            <span class="did">
              <span class="unseen">mean </span>
              {format.value(did.mean)}
            </span>
          </>
        )}
      </button>
    </li>
  );
}
