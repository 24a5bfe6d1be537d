import { useEffect, useLayoutEffect } from 'preact/hooks';
import { strokeOf } from '../../chart/palette.ts';
import { look } from '../../chart/theme.ts';
import { formatClock } from '../../format/time.ts';
import type { Format } from '../../format/units.ts';
import { isShown } from '../../panels/shown.ts';
import type { Panel } from '../../store/panel.ts';
import { rankAt } from '../../store/ranking.ts';
import { DataLinks } from '../links.tsx';

/** Hidden until the chart puts it at its time. */
const UNPLACED = { visibility: 'hidden' } as const;
/** The most lines whose values are shown; of more, the highest. */
const MOST_READ = 10;

interface PinProps {
  /** The id of the panel, by which the choice of lines is saved. */
  readonly id: string;
  readonly panel: Panel;
  readonly format: Format;
  readonly time: number;
  /** Milliseconds of the window that is shown. */
  readonly windowMs: number;
  readonly onUnpin: () => void;
  /** It is rendered, and has to be put in its place. */
  readonly onShown: () => void;
}

/** The values at a time that was clicked. It stays at that time while the picture moves. */
export function Pin({ id, panel, format, time, windowMs, onUnpin, onShown }: PinProps) {
  useLayoutEffect(onShown, []);
  useEffect(() => {
    const press = ({ key, target }: KeyboardEvent): void => {
      if (key === 'Escape' && (target as HTMLElement).closest('dialog, input') === null) {
        onUnpin();
      }
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, []);
  const read = rankAt(panel, time).filter(({ member }) => isShown(id, member));
  const rest = read.length - MOST_READ;
  const span = { from: time - windowMs / 2, to: time + windowMs / 2 };
  return (
    <div class="pin" style={UNPLACED}>
      <div class="values" role="status">
        <p>
          <strong>{formatClock(time)}</strong>
          <button type="button" aria-label={`Unpin ${formatClock(time)}`} onClick={onUnpin}>
            ×
          </button>
        </p>
        <ul>
          {read.slice(0, MOST_READ).map(({ member, value }) => {
            const { series, title, colour, format: written = format } = member;
            return (
              <li key={series.identity}>
                <i style={{ background: strokeOf(colour, look.value).stroke }} />
                <span class="name">{title || series.name}</span>
                <span class="value" style={{ color: written.meant?.(value)?.colour }}>
                  {written.value(value)}
                </span>
                {member.links && <DataLinks member={member} value={value} span={span} />}
              </li>
            );
          })}
        </ul>
        {rest > 0 && <p class="remark">{rest} more, lower</p>}
        {read.length === 0 && <p class="remark">no samples then</p>}
      </div>
    </div>
  );
}
