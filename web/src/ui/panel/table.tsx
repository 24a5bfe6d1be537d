import { useEffect, useRef, useState } from 'preact/hooks';
import { natural } from '../../format/natural.ts';
import type { Format } from '../../format/units.ts';
import { reached, type Threshold } from '../../panels/model.ts';
import { type Summary, summaryOf } from '../../panels/summary.ts';
import type { Panel as Group, Member } from '../../store/panel.ts';
import { holdOrder, rankAll } from '../../store/ranking.ts';
import { latestOf } from '../../store/rate.ts';
import { DataLinks } from '../links.tsx';
import { Mark } from '../mark.tsx';

/** The most rows of a table; of more, the first in its order. */
const MOST_WRITTEN = 200;
/** Rows keep their places for this many milliseconds. */
const KEPT_MS = 5_000;

const COLUMNS = ['series', 'last', 'min', 'max', 'mean'] as const;
type Column = (typeof COLUMNS)[number];

interface TableProps {
  readonly panel: Group;
  readonly format: Format;
  readonly thresholds: readonly Threshold[] | undefined;
  readonly from: number;
  readonly to: number;
}

interface Line extends Summary {
  readonly member: Member;
  readonly last: number;
  readonly silent: boolean;
}

/** Last, minimum, maximum and mean of each series: the highest first, or in the chosen order. */
export function Table({ panel, format, thresholds, from, to }: TableProps) {
  const [{ by, rising }, setOrder] = useState<{ by: Column; rising: boolean }>({
    by: 'last',
    rising: false,
  });
  const kept = useRef<{ key: string; at: number; order: readonly Member[] }>({
    key: '',
    at: Number.NEGATIVE_INFINITY,
    order: [],
  });
  const looked = useRef(false);
  const scroller = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // What a bar below the rows takes from them is known to nobody but the browser.
    const bar = new ResizeObserver(([entry]) => {
      const { offsetHeight, clientHeight, style } = entry!.target as HTMLElement;
      style.setProperty('--bar', `${offsetHeight - clientHeight}px`);
    });
    bar.observe(scroller.current!);
    return () => bar.disconnect();
  }, []);
  const lines = new Map(
    panel.members.map((member): [Member, Line] => {
      const { series } = member;
      return [
        member,
        {
          member,
          last: latestOf(series, panel.raw),
          silent: series.gone || series.isSilent(to),
          ...summaryOf(series, from, to, panel.raw),
        },
      ];
    }),
  );
  const key = `${by} ${rising} ${panel.members.length}`;
  const old = Math.abs(to - kept.current.at) >= KEPT_MS && !looked.current;
  const same = kept.current.order.every((member) => lines.has(member));
  if (kept.current.key !== key || old || !same) {
    kept.current = { key, at: to, order: ordered([...lines.values()], by, rising) };
  }
  // Without a chosen order, rows with near values keep their places.
  const order = by === 'last' && !rising ? rankAll(panel, to) : kept.current.order;
  const shown = order.slice(0, MOST_WRITTEN);
  const rest = panel.members.length - shown.length;
  return (
    <>
      <div class="rows">
        {/* biome-ignore lint/a11y/useSemanticElements: it is no part of a form. */}
        <div
          ref={scroller}
          class="figures-table"
          role="group"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard.
          tabIndex={0}
          aria-label={`${panel.name} as a table`}
          onPointerEnter={() => {
            looked.current = true;
            holdOrder(panel, true);
          }}
          onPointerLeave={() => {
            looked.current = false;
            holdOrder(panel, false);
          }}
        >
          <table>
            <thead>
              <tr>
                {COLUMNS.map((column) => (
                  <th
                    key={column}
                    scope="col"
                    aria-sort={by !== column ? 'none' : rising ? 'ascending' : 'descending'}
                  >
                    <button
                      type="button"
                      onClick={() =>
                        setOrder({
                          by: column,
                          rising: by === column ? !rising : column === 'series',
                        })
                      }
                    >
                      {column}
                      {by === column && (
                        <svg class="sorted" viewBox="0 0 8 8" aria-hidden="true">
                          <path d={rising ? 'M4 1l3.5 6h-7z' : 'M4 7l3.5-6h-7z'} />
                        </svg>
                      )}
                    </button>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {shown.map((member) => {
                const { last, least, most, mean, silent } = lines.get(member)!;
                const { series, title, format: written = format } = member;
                const shown = (value: number) => (
                  <span style={{ color: silent ? undefined : written.meant?.(value)?.colour }}>
                    {written.value(value)}
                  </span>
                );
                return (
                  <tr key={series.identity} class={silent ? 'silent' : ''}>
                    <th scope="row">
                      {title || series.name}
                      {member.links && (
                        <>
                          {' '}
                          <DataLinks member={member} value={last} span={{ from, to }} />
                        </>
                      )}
                    </th>
                    <td>
                      <Mark threshold={silent ? null : reached(thresholds, last)} /> {shown(last)}
                    </td>
                    <td>{shown(least)}</td>
                    <td>{shown(most)}</td>
                    <td>{shown(mean)}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      </div>
      {rest > 0 && <p class="remark">{rest} more series are not written out.</p>}
    </>
  );
}

function ordered(lines: readonly Line[], by: Column, rising: boolean): Member[] {
  const measured = ({ last, least, most, mean }: Line): number =>
    ({ series: 0, last, min: least, max: most, mean })[by];
  const sign = rising ? 1 : -1;
  return [...lines]
    .sort((a, b) => {
      const [one, other] = [measured(a), measured(b)];
      // Rows without a value are last in either direction.
      return (
        Number(Number.isNaN(one)) - Number(Number.isNaN(other)) ||
        (Number.isNaN(one) ? 0 : sign * (one - other)) ||
        (by === 'series' ? sign : 1) * natural(a.member.title, b.member.title)
      );
    })
    .map(({ member }) => member);
}
