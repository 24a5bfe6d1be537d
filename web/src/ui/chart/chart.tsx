import { useSignal, useSignalEffect } from '@preact/signals';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { loadPart } from '../../browser/part.ts';
import { Curves } from '../../chart/curves.ts';
import type { Picture } from '../../chart/picture.ts';
import { screens } from '../../chart/screen.ts';
import { look } from '../../chart/theme.ts';
import { printable } from '../../format/printable.ts';
import type { Format } from '../../format/units.ts';
import { lines } from '../../panels/shown.ts';
import { later } from '../later.tsx';
import { type ChartKind, type ChartProps, ChartView } from './chart-view.ts';

/** The share of the window by which an arrow key moves the crosshair at least, and with Shift. */
const STEP = 1 / 100;
const LONG_STEP = 1 / 10;

const TITLES: Readonly<Record<ChartKind, string>> = {
  line: 'Line chart',
  area: 'Area chart',
  stacked: 'Stacked areas',
  heatmap: 'Heatmap',
};

/** The lines of a panel. They are painted by the painter, never by a render. */
export function Chart(props: ChartProps) {
  const { panel, dashboard, format, focus, inSight, kind, by, thresholds } = props;
  const root = useRef<HTMLDivElement>(null);
  const view = useRef<ChartView | null>(null);
  /** The pinned time; null for none. */
  const pinned = useSignal<number | null>(null);
  /** The lowest and the highest value of a heatmap's scale. */
  const shades = useSignal<readonly [number, number]>([Number.NaN, Number.NaN]);
  // Before the panel is first painted, so that it appears with its picture.
  useLayoutEffect(() => {
    let closed = false;
    const open = (picture: Picture): void => {
      if (!closed) {
        view.current = new ChartView(root.current!, props, picture, { pinned, shades });
      }
    };
    const picture = pictureOf(props);
    if (picture instanceof Promise) {
      void picture.then(open);
    } else {
      open(picture);
    }
    return () => {
      closed = true;
      view.current?.close();
      view.current = null;
    };
  }, [panel, dashboard, kind, by, format, props.picture, JSON.stringify(thresholds)]);
  useSignalEffect(() => {
    // Everything that changes the picture except new points.
    focus.value;
    lines.value;
    look.value;
    pinned.value;
    dashboard.time.windowMs.value;
    dashboard.time.heldAt.value;
    view.current?.repaint();
  });
  useSignalEffect(() => {
    // On the first run nothing has changed.
    if (screens.value > 0) {
      view.current?.refit();
    }
  });
  useSignalEffect(() => view.current?.point(dashboard.hover.value));
  /** The values at the crosshair, announced when it is moved by keyboard. */
  const said = useSignal('');
  const count = panel.members.length;
  return (
    <>
      <div class="chart">
        {/* An application, since a reader would else keep the arrows to itself. */}
        <div
          ref={root}
          class="plot"
          role="application"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: its values are read by keyboard.
          tabIndex={0}
          aria-roledescription="chart"
          aria-label={`${TITLES[kind]} of ${printable(panel.name)}, ${
            count === 1 ? 'one line' : `${count} lines`
          }. Left and right arrows read its values.`}
          onKeyDown={(event) => {
            if (view.current !== null && press(event, view.current)) {
              event.preventDefault();
              event.stopPropagation();
              void view.current.read().then((text) => {
                said.value = text;
              });
            }
          }}
          onBlur={() => {
            dashboard.hover.value = null;
            said.value = '';
          }}
        />
        <p class="unseen" aria-live="polite">
          {said.value}
        </p>
        {inSight.value && <Tip id={props.id} panel={panel} dashboard={dashboard} format={format} />}
        {pinned.value !== null && (
          <Pin
            id={props.id}
            panel={panel}
            format={format}
            time={pinned.value}
            windowMs={dashboard.time.windowMs.value}
            onUnpin={() => {
              pinned.value = null;
            }}
            onShown={() => view.current?.repaint()}
          />
        )}
      </div>
      {kind === 'heatmap' && <Shades span={shades.value} format={format} counted={by === 'le'} />}
    </>
  );
}

/** Loaded with the first chart in sight, after its picture. */
const Tip = later(
  () => import('./tip.tsx'),
  ({ Tip }) => Tip,
);
const Pin = later(
  () => import('./pin.tsx'),
  ({ Pin }) => Pin,
);

/** Move the crosshair by a key; false for a key without meaning here. */
function press(
  { key, shiftKey, ctrlKey, metaKey, altKey }: KeyboardEvent,
  view: ChartView,
): boolean {
  if (ctrlKey || metaKey || altKey) {
    return false;
  }
  const step = shiftKey ? LONG_STEP : STEP;
  switch (key) {
    case 'ArrowLeft':
      view.step(-step);
      return true;
    case 'ArrowRight':
      view.step(step);
      return true;
    case 'Home':
      view.step(Number.NEGATIVE_INFINITY);
      return true;
    case 'End':
      view.step(Number.POSITIVE_INFINITY);
      return true;
    case 'Enter':
      return view.pinHere();
    case 'Escape':
      return view.leave();
    default:
      return false;
  }
}

/** The scale of a heatmap: the values of the faintest and of the darkest cell. */
function Shades({
  span: [low, high],
  format,
  counted,
}: {
  readonly span: readonly [number, number];
  readonly format: Format;
  /** Whether cells are counts of buckets. */
  readonly counted: boolean;
}) {
  return (
    <p class="shades">
      <span>{format.value(low)}</span>
      <span aria-hidden="true" class="ramp" />
      <span>{format.value(high)}</span>
      {!counted && <span>each cell: the mean, its upper edge the highest</span>}
    </p>
  );
}

/** Curves are part of the page; the other pictures are loaded when one is shown. */
function pictureOf({ kind, by, thresholds, picture }: ChartProps): Picture | Promise<Picture> {
  if (picture) {
    return picture();
  }
  switch (kind) {
    case 'stacked':
      return loadPart(() => import('../../chart/stack.ts')).then(({ Stack }) => new Stack());
    case 'heatmap':
      return loadPart(() => import('../../chart/heat.ts')).then(({ Heat }) => new Heat(by));
    default:
      return new Curves(kind === 'area', thresholds ?? []);
  }
}
