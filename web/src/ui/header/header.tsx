import { useSignal } from '@preact/signals';
import { chooseTheme, type Theme, theme } from '../../chart/theme.ts';
import { parseDuration } from '../../client/index.ts';
import { isWindow, WINDOWS } from '../../dashboards/windows.ts';
import { formatSpan } from '../../format/time.ts';
import { formatOf } from '../../format/units.ts';
import type { Dashboard } from '../../state/dashboard.ts';
import { later } from '../later.tsx';
import { Connection } from './connection.tsx';
import { MenuButton, type MenuProps } from './menu-button.tsx';
import { Outage } from './outage.tsx';

const THEMES: readonly { readonly value: Theme; readonly title: string }[] = [
  { value: 'system', title: 'System' },
  { value: 'light', title: 'Light' },
  { value: 'dark', title: 'Dark' },
];

export function Header({ dashboard, name }: { dashboard: Dashboard; name: string | null }) {
  /** Whether the list of dashboards is. */
  const open = useSignal(false);
  return (
    <header class="bar">
      <div class="identity">
        <h1>
          <img src="favicon.svg" alt="" width="24" height="24" />
          pushsvc
        </h1>
        <Connection dashboard={dashboard} />
        <Figures dashboard={dashboard} />
      </div>
      <div class="controls">
        <Menu name={name} open={open} />
        {name === null && <Filter dashboard={dashboard} />}
        <div class="window">
          <WindowChoice dashboard={dashboard} />
          <Kept dashboard={dashboard} />
        </div>
        <Hold dashboard={dashboard} />
        <ThemeChoice />
      </div>
      <Outage dashboard={dashboard} />
    </header>
  );
}

/** The list is loaded after the first picture; the button opens it also if it is pressed before. */
const Menu = later(
  () => import('./menu.tsx'),
  ({ Menu }) => Menu,
  (props: MenuProps) => (
    <nav class="menu" aria-label="Dashboards">
      <MenuButton {...props} />
    </nav>
  ),
);

const plain = formatOf('');

function Figures({ dashboard }: { dashboard: Dashboard }) {
  const { partial, seriesCount, sampleRate } = dashboard;
  return (
    <dl class="figures">
      <div>
        <dt>series</dt>
        <dd>{seriesCount.value.toLocaleString('en')}</dd>
      </div>
      <div>
        <dt title={partial.value ? 'Of the panels in sight, and of those near to them' : undefined}>
          samples/s
          {/* As wide as ever, that the bar keeps its rows. */}
          {partial.value && <span class="unseen"> in sight</span>}
        </dt>
        <dd>{sampleRate.value === null ? '–' : whole(sampleRate.value)}</dd>
      </div>
    </dl>
  );
}

function whole(value: number): string {
  return value < 10 && value > 0 ? plain.value(value) : Math.round(value).toLocaleString('en');
}

function Filter({ dashboard }: { dashboard: Dashboard }) {
  const { filter } = dashboard;
  return (
    <input
      class="filter"
      type="search"
      placeholder="Filter, PromQL"
      aria-label="Filter panels by name, help or label, or ask in PromQL"
      autocomplete="off"
      spellcheck={false}
      value={filter.value}
      onInput={(event) => (filter.value = event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === 'Escape') {
          filter.value = '';
        }
      }}
    />
  );
}

function WindowChoice({ dashboard }: { dashboard: Dashboard }) {
  const kept = dashboard.keptMs.value;
  return (
    <fieldset class="choice">
      <legend class="unseen">Time window</legend>
      {WINDOWS.map(({ ms, title }) => {
        const remark = kept !== null && ms > kept ? `The server keeps ${formatSpan(kept)}` : '';
        return (
          <label key={ms} class={remark && 'beyond'} title={remark}>
            <input
              type="radio"
              name="window"
              checked={dashboard.time.windowMs.value === ms}
              onChange={() => dashboard.time.choose(ms)}
            />
            <span>
              {title}
              {remark && <small class="unseen"> ({remark})</small>}
            </span>
          </label>
        );
      })}
      <OwnWindow dashboard={dashboard} />
    </fieldset>
  );
}

/** Says beside the choice that the server keeps less than the window. */
function Kept({ dashboard }: { dashboard: Dashboard }) {
  const kept = dashboard.keptMs.value;
  return kept === null || dashboard.time.windowMs.value <= kept ? null : (
    <p class="kept" role="status" title="history.seconds of the server’s settings says how long">
      the server keeps {formatSpan(kept)}
    </p>
  );
}

/** Any other window, typed as text. */
function OwnWindow({ dashboard }: { dashboard: Dashboard }) {
  const ms = dashboard.time.windowMs.value;
  const own = WINDOWS.every((one) => one.ms !== ms);
  const choose = (field: HTMLInputElement): void => {
    let wanted = Number.NaN;
    try {
      wanted = parseDuration(field.value.trim());
    } catch {
      // The message below says so, also if it is too short or too long.
    }
    field.setCustomValidity(isWindow(wanted) ? '' : 'A span from 5s to 6h, such as 20m or 1h30m');
    if (field.reportValidity()) {
      dashboard.time.choose(wanted);
    }
  };
  return (
    <input
      class={own ? 'own chosen' : 'own'}
      type="text"
      aria-label="Another window, such as 20m"
      placeholder="20m"
      size={5}
      autocomplete="off"
      spellcheck={false}
      value={own ? formatSpan(ms) : ''}
      onInput={(event) => event.currentTarget.setCustomValidity('')}
      onKeyDown={(event) => {
        if (event.key === 'Enter') {
          choose(event.currentTarget);
        } else if (event.key === 'Escape') {
          event.currentTarget.setCustomValidity('');
          event.currentTarget.value = own ? formatSpan(ms) : '';
        }
      }}
    />
  );
}

/** Pause the charts or resume them, with the number of samples that arrived meanwhile. */
function Hold({ dashboard }: { dashboard: Dashboard }) {
  if (dashboard.time.heldAt.value === null) {
    return (
      <button
        type="button"
        class="hold"
        title="Hold the charts (Space)"
        onClick={() => dashboard.time.pause()}
      >
        Pause
      </button>
    );
  }
  const count = dashboard.time.newSamples.value;
  return (
    <>
      {dashboard.time.zoomed.value && (
        <button
          type="button"
          class="hold"
          title="What was shown before (Escape, or a double click)"
          onClick={() => dashboard.time.zoomOut()}
        >
          Zoom out
        </button>
      )}
      <button
        type="button"
        class="hold held"
        title="Follow the newest samples (Space)"
        onClick={() => dashboard.time.resume()}
      >
        Back to live{count > 0 && ` · ${count.toLocaleString('en')} new`}
      </button>
    </>
  );
}

function ThemeChoice() {
  return (
    <label class="theme">
      <span class="unseen">Theme</span>
      <select
        value={theme.value}
        onChange={(event) => chooseTheme(event.currentTarget.value as Theme)}
      >
        {THEMES.map(({ value, title }) => (
          <option key={value} value={value}>
            {title}
          </option>
        ))}
      </select>
    </label>
  );
}
