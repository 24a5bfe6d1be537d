import './shares.css';
import { strokeOf } from '../../chart/palette.ts';
import { look } from '../../chart/theme.ts';
import { type Format, formatOf } from '../../format/units.ts';
import { type Panel as Description, reached } from '../../panels/model.ts';
import { partsOf, ringPath, sharesAt } from '../../panels/shares.ts';
import type { Panel } from '../../store/panel.ts';
import { DataLinks } from '../links.tsx';
import { Mark } from '../mark.tsx';
import { Scroller } from '../scroller.tsx';

const PERCENT = formatOf('ratio');

interface SharesProps {
  readonly panel: Panel;
  readonly description: Description;
  readonly format: Format;
  readonly from: number;
  readonly to: number;
  readonly most: number;
}

/** The newest values as bars beside each other, the highest first. */
export function Bars({ panel, description, format, from, to, most }: SharesProps) {
  const shares = sharesAt(panel, to).slice(0, most);
  const { thresholds } = description;
  const values = shares.map(({ value }) => value);
  const min = description.min ?? format.bounds?.[0] ?? Math.min(0, ...values);
  const max = description.max ?? format.bounds?.[1] ?? Math.max(0, ...values);
  const place = (value: number): number =>
    max > min ? Math.min(1, Math.max(0, (value - min) / (max - min))) : 0;
  const zero = place(0);
  return (
    <Scroller label="Bars">
      <ul class="bars">
        {shares.map(({ member, value, silent }) => {
          const { series, title, format: written = format, colour, links } = member;
          const threshold = silent ? null : reached(thresholds, value);
          const [left, right] = [zero, place(value)].sort((a, b) => a - b) as [number, number];
          const own = written.meant?.(value)?.colour;
          const usual = threshold === null ? strokeOf(colour, look.value).stroke : undefined;
          return (
            <li
              key={series.identity}
              class={[silent && 'silent', threshold?.level].filter(Boolean).join(' ')}
            >
              <span class="name">{title || series.name}</span>
              <span class="value" style={{ color: silent ? undefined : own }}>
                <Mark threshold={threshold} /> {written.value(value)}
              </span>
              <span class="track" aria-hidden="true">
                <span
                  style={{
                    left: `${(100 * left).toFixed(2)}%`,
                    width: `${(100 * (right - left)).toFixed(2)}%`,
                    background: silent ? undefined : (own ?? usual),
                  }}
                />
              </span>
              {links && <DataLinks member={member} value={value} span={{ from, to }} />}
            </li>
          );
        })}
      </ul>
    </Scroller>
  );
}

/** The newest values above zero as parts of their sum. */
export function Pie({ panel, format, from, to, most }: SharesProps) {
  const all = sharesAt(panel, to);
  const shares = all.filter(({ value }) => value > 0).slice(0, most);
  const parts = partsOf(shares.map(({ value }) => value));
  const rest = all.filter(({ value }) => value <= 0).length;
  return (
    <>
      <Scroller label="Shares">
        <div class="pie">
          <svg viewBox="-50 -50 100 100" aria-hidden="true">
            {shares.map(({ member: { series, colour }, silent }, at) => (
              <path
                key={series.identity}
                class={silent ? 'silent' : ''}
                d={ringPath(parts[at]!.from, parts[at]!.to, 26, 48)}
                style={{ fill: strokeOf(colour, look.value).stroke }}
              />
            ))}
          </svg>
          <ul>
            {shares.map(({ member, value, silent }, at) => {
              const { series, title, format: written = format, colour, links } = member;
              const { from: start, to: end } = parts[at]!;
              return (
                <li key={series.identity} class={silent ? 'silent' : ''}>
                  <i style={{ background: strokeOf(colour, look.value).stroke }} />
                  <span class="name">{title || series.name}</span>
                  <span class="value">
                    {written.value(value)} · {PERCENT.value(end - start)}
                  </span>
                  {links && <DataLinks member={member} value={value} span={{ from, to }} />}
                </li>
              );
            })}
          </ul>
        </div>
      </Scroller>
      {rest > 0 && <p class="remark">{rest} more are not above zero, and no part of the sum.</p>}
    </>
  );
}
