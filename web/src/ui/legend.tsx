import type { Signal } from '@preact/signals';
import { useState } from 'preact/hooks';
import { strokeOf } from '../chart/palette.ts';
import type { Dashboard } from '../dashboard.ts';
import type { Format } from '../format/units.ts';
import type { Member, Panel } from '../store/panel.ts';
import { FEW, rank } from '../store/ranking.ts';
import { latestOf, valueAt } from '../store/rate.ts';
import { look } from '../theme.ts';

interface LegendProps {
  readonly panel: Panel;
  readonly dashboard: Dashboard;
  readonly format: Format;
  /** Identity of the line that is looked at. */
  readonly focus: Signal<string | null>;
  /** Whether the panel is in sight: else the values may be old. */
  readonly inSight: Signal<boolean>;
}

/** The lines by name, with their values now or where the pointer is. */
export function Legend({ panel, dashboard, format, focus, inSight }: LegendProps) {
  const [all, setAll] = useState(false);
  // What nobody sees isn't rendered again and again.
  const seen = inSight.value;
  const now = seen ? dashboard.now.value : dashboard.now.peek();
  const ranked = rank(panel, now);
  const shown = all ? ranked : ranked.slice(0, FEW);
  const hidden = ranked.length - FEW;
  return (
    <div class="legend">
      {panel.distinguishing.length > 0 && <p class="labels">{panel.distinguishing.join(' · ')}</p>}
      <ul class={all ? 'all' : ''}>
        {shown.map((member) => (
          <Entry
            key={member.series.identity}
            member={member}
            format={format}
            focus={focus}
            now={now}
            hover={seen ? (dashboard.hover.value ?? dashboard.heldAt.value) : null}
          />
        ))}
      </ul>
      {hidden > 0 && (
        <button type="button" class="more" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `${hidden} more`}
        </button>
      )}
    </div>
  );
}

interface EntryProps {
  readonly member: Member;
  readonly format: Format;
  readonly focus: Signal<string | null>;
  readonly now: number;
  readonly hover: number | null;
}

function Entry({ member, format, focus, now, hover }: EntryProps) {
  const { series, title, colour } = member;
  const { stroke, dash } = strokeOf(colour, look.value);
  const silent = series.gone || series.isSilent(now);
  const value = hover === null ? latestOf(series) : valueAt(series, hover);
  const labels = Object.entries(series.labels).map(([name, text]) => `${name}="${text}"`);
  return (
    <li class={silent ? 'silent' : ''}>
      <button
        type="button"
        aria-pressed={focus.value === series.identity}
        title={`${labels.join(', ')}${silent ? ' (silent)' : ''}`}
        onPointerEnter={() => (focus.value = series.identity)}
        onPointerLeave={() => (focus.value = null)}
        onFocus={() => (focus.value = series.identity)}
        onBlur={() => (focus.value = null)}
      >
        <svg viewBox="0 0 18 8" aria-hidden="true">
          <line
            x1="1"
            x2="17"
            y1="4"
            y2="4"
            stroke={stroke}
            stroke-width="2.5"
            stroke-dasharray={dash.join(' ')}
          />
        </svg>
        <span class="name">{title || series.name}</span>
        <span class="value">{silent && hover === null ? 'silent' : format.value(value)}</span>
      </button>
    </li>
  );
}
