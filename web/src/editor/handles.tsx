import './style/handles.css';
import { useRef } from 'preact/hooks';
import { inReadingOrder } from '../dashboards/place.ts';
import type { Panel } from '../panels/model.ts';
import { Icon } from '../ui/icon.tsx';
import { freeId } from './model/keeping.ts';
import {
  COLUMNS,
  exchange,
  firstFree,
  type Place,
  type Placed,
  put,
  step,
} from './model/layout.ts';

interface HandlesProps {
  readonly panel: Placed;
  /** All panels of the dashboard, as they were before a drag. */
  readonly panels: readonly Placed[];
  /** Show these panels during a drag; null when it is over. */
  readonly onPreview: (panels: readonly Placed[] | null) => void;
  readonly onArrange: (panels: readonly Placed[], what: string) => void;
  readonly onChange: () => void;
}

const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** The controls that move, resize, change and remove a panel by pointer or keyboard. */
export function Handles({ panel, panels, onPreview, onArrange, onChange }: HandlesProps) {
  const root = useRef<HTMLDivElement>(null);
  const name = titleOf(panel);

  const move = (event: KeyboardEvent): void => {
    const arrow = ARROWS[event.key];
    if (arrow !== undefined && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      event.stopPropagation();
      const [dx, dy] = arrow;
      const next = event.shiftKey
        ? put(panels, panel.id, grown(panel.grid, dx, dy))
        : step(panels, panel.id, dx, dy);
      onArrange(next, describe(name, next, panel.id));
    } else if (event.key === 'Delete') {
      event.preventDefault();
      takeAway();
    }
  };

  const takeAway = (): void =>
    onArrange(
      panels.filter(({ id }) => id !== panel.id),
      `${name} removed`,
    );

  const drag = (down: PointerEvent, change: (dx: number, dy: number) => Place): void => {
    if (down.button !== 0) {
      return;
    }
    down.preventDefault();
    const handle = down.currentTarget as HTMLElement;
    handle.focus();
    const cells = root.current!.closest('.cells')!;
    const { columnGap, rowGap, gridAutoRows } = getComputedStyle(cells);
    const width = (cells.clientWidth + Number.parseFloat(columnGap)) / COLUMNS;
    const height = Number.parseFloat(gridAutoRows) + Number.parseFloat(rowGap);
    const ending = new AbortController();
    const { signal } = ending;
    // Otherwise the pointer would select the text that it passes.
    document.addEventListener('selectstart', (event) => event.preventDefault(), { signal });
    let next: Placed[] | null = null;
    const at = scrollY;
    const end = (kept: boolean): void => {
      ending.abort();
      onPreview(null);
      if (kept && next !== null) {
        onArrange(next, describe(name, next, panel.id));
      }
    };
    handle.setPointerCapture(down.pointerId);
    handle.addEventListener(
      'pointermove',
      ({ clientX, clientY }) => {
        const dx = Math.round((clientX - down.clientX) / width);
        const dy = Math.round((clientY - down.clientY + scrollY - at) / height);
        next = put(panels, panel.id, change(dx, dy));
        onPreview(next);
      },
      { signal },
    );
    handle.addEventListener('pointerup', () => end(true), { signal });
    handle.addEventListener('pointercancel', () => end(false), { signal });
    addEventListener(
      'keydown',
      (event) => {
        if (event.key === 'Escape') {
          end(false);
        }
      },
      { signal },
    );
  };

  const { grid } = panel;
  return (
    <div ref={root} class="handles">
      <div class="buttons">
        <button
          type="button"
          class="grip"
          aria-label={`Move or size ${name}`}
          title="Drag to move. Arrow keys move, with Shift they size, Delete removes."
          onKeyDown={move}
          onPointerDown={(event) =>
            drag(event, (dx, dy) => ({ ...grid, x: grid.x + dx, y: grid.y + dy }))
          }
        >
          <Icon path="M8 1.5v13M1.5 8h13M6 3.5l2-2 2 2M6 12.5l2 2 2-2M3.5 6l-2 2 2 2M12.5 6l2 2-2 2" />
        </button>
        {([-1, 1] as const).map((by) => (
          <button
            key={by}
            type="button"
            class="order"
            aria-label={`Move ${name} ${by < 0 ? 'up' : 'down'}`}
            title={by < 0 ? 'Move up' : 'Move down'}
            onClick={() => {
              const next = exchange(panels, panel.id, by);
              const at = inReadingOrder(next).findIndex(({ id }) => id === panel.id);
              onArrange(next, `${name}: ${at + 1} of ${next.length}`);
            }}
          >
            <Icon path={by < 0 ? 'M8 13V3M4 7l4-4 4 4' : 'M8 3v10M4 9l4 4 4-4'} />
          </button>
        ))}
        <button type="button" aria-label={`Change ${name}`} title="Change" onClick={onChange}>
          <Icon path="M3 13l.7-3L11 2.7 13.3 5 6 12.3zM9.5 4.2l2.3 2.3" />
        </button>
        <button
          type="button"
          aria-label={`Duplicate ${name}`}
          title="Duplicate"
          onClick={() =>
            onArrange(
              [
                ...panels,
                {
                  ...panel,
                  id: freeId(
                    panel.id,
                    panels.map(({ id }) => id),
                  ),
                  grid: firstFree(panels, grid),
                },
              ],
              `${name} duplicated`,
            )
          }
        >
          <Icon path="M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3" />
        </button>
        <button type="button" aria-label={`Remove ${name}`} title="Remove" onClick={takeAway}>
          <Icon path="M4 4l8 8M12 4l-8 8" />
        </button>
      </div>
      <span
        class="corner"
        aria-hidden="true"
        title="Drag to size"
        onPointerDown={(event) =>
          drag(event, (dx, dy) => ({ ...grid, w: grid.w + dx, h: grid.h + dy }))
        }
      />
    </div>
  );
}

function grown(grid: Place, dx: number, dy: number): Place {
  return { ...grid, w: Math.min(COLUMNS - grid.x, grid.w + dx), h: grid.h + dy };
}

function describe(name: string, panels: readonly Placed[], id: string): string {
  const { x, y, w, h } = panels.find((panel) => panel.id === id)!.grid;
  return `${name}: column ${x + 1}, row ${y + 1}, ${w} wide, ${h} high`;
}

export function titleOf({ title, select, id }: Panel): string {
  return title || select || id;
}
