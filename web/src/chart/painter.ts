import type { Panel } from '../store/panel.ts';

/** Something that draws a panel when the painter says so. */
export interface Canvas {
  readonly panel: Panel;
  readonly inSight: boolean;
  /** Milliseconds within which new points would hardly change the picture. */
  readonly rest: number;
  /** Milliseconds in which time alone moves the picture by one pixel; infinite while it is held. */
  readonly moves: number;
  paint(): void;
  /** Adopt the size of its place in the document, or on paper. */
  refit(): void;
}

/** Milliseconds of one animation frame that may be spent on drawing that nobody waits for. */
const SHARE_MS = 6;

/** Milliseconds to wait for more of the past after some came, and in all. */
const LULL_MS = 16;
const MOST_HELD_MS = 400;

/**
 * A picture that takes longer than this, in milliseconds, to move by a pixel is only redrawn for
 * new points.
 */
const SLOW_MS = 125;
/** Share of the time that may be spent on moving pictures. Above it, they move less often. */
const LOAD = 0.12;
const LOAD_MS = 1_000;

/** Milliseconds of a frame. A timer is set only for what is due after the next frame. */
const FRAME_MS = 12;

/**
 * Draws panels that have changed and are in sight, each at most once per animation frame. What
 * doesn't fit into one frame is drawn in the next, so that the page stays responsive however much
 * there is to draw.
 */
export class Painter {
  /** Called when something was painted. */
  onPainted: () => void = () => {};
  /** When each panel may be painted again. */
  readonly #dueAt = new Map<Canvas, number>();
  readonly #waiting = new Set<Canvas>();
  #frame = 0;
  /** Since when nothing has been drawn; null while something is drawn in each frame. */
  #heldSince: number | null = null;
  #heldUntil = Number.NEGATIVE_INFINITY;
  /**
   * Milliseconds spent on drawing since a time, and the factor by which pictures move less often
   * than they could.
   */
  #spent = 0;
  #spentSince = Number.NEGATIVE_INFINITY;
  #slack = 1;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  /** Add a panel. Returns the function that removes it. */
  add(canvas: Canvas): () => void {
    this.#dueAt.set(canvas, Number.NEGATIVE_INFINITY);
    this.#mark(canvas);
    return () => {
      this.#dueAt.delete(canvas);
      this.#waiting.delete(canvas);
    };
  }

  /** These panels have new points. */
  dirty(panels: ReadonlySet<Panel>): void {
    for (const canvas of this.#dueAt.keys()) {
      if ([...canvas.panel.sources].some((source) => panels.has(source))) {
        this.#mark(canvas);
      }
    }
  }

  /** Time has passed. */
  dirtyAll(): void {
    for (const canvas of this.#dueAt.keys()) {
      this.#mark(canvas);
    }
  }

  /**
   * The past is arriving, and more may follow: draw once all of it is there. Drawing parts of it
   * would delay the rest.
   */
  hold(): void {
    const now = performance.now();
    this.#heldSince ??= now;
    this.#heldUntil = Math.min(now + LULL_MS, this.#heldSince + MOST_HELD_MS);
    for (const canvas of this.#dueAt.keys()) {
      this.redraw(canvas);
    }
  }

  /** The viewer did something and waits to see it: draw in the next frame. */
  redraw(canvas: Canvas): void {
    if (this.#dueAt.has(canvas)) {
      this.#dueAt.set(canvas, Number.NEGATIVE_INFINITY);
      this.#mark(canvas);
    }
  }

  /**
   * Draw all panels at once, also those out of sight, in their present size: before and after
   * printing.
   */
  paintAll(): void {
    for (const canvas of this.#dueAt.keys()) {
      canvas.refit();
      canvas.paint();
    }
  }

  #mark(canvas: Canvas): void {
    this.#waiting.add(canvas);
    // Panels out of sight stay marked until they are seen.
    if (canvas.inSight) {
      this.#schedule(this.#dueAt.get(canvas)!);
    }
  }

  /** Request one frame at a time; between frames there is nothing to do. */
  #schedule(wanted: number): void {
    const at = Math.max(wanted, this.#heldUntil);
    if (this.#frame !== 0 || at >= this.#timerAt) {
      return;
    }
    clearTimeout(this.#timer);
    const left = at - performance.now();
    if (left > FRAME_MS) {
      this.#timerAt = at;
      this.#timer = setTimeout(() => {
        this.#timerAt = Number.POSITIVE_INFINITY;
        this.#schedule(Number.NEGATIVE_INFINITY);
      }, left - FRAME_MS);
    } else {
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.#frame = requestAnimationFrame((now) => this.#paint(now));
    }
  }

  #paint(now: number): void {
    this.#frame = 0;
    const begun = performance.now();
    if (begun < this.#heldUntil) {
      this.#schedule(this.#heldUntil);
      return;
    }
    this.#heldSince = null;
    let soonest = Number.POSITIVE_INFINITY;
    let painted = false;
    for (const canvas of this.#waiting) {
      if (!canvas.inSight) {
        continue;
      }
      const due = this.#dueAt.get(canvas)!;
      const full = performance.now() - begun > SHARE_MS;
      if (due > now || (full && due > Number.NEGATIVE_INFINITY)) {
        soonest = Math.min(soonest, due);
        continue;
      }
      this.#waiting.delete(canvas);
      canvas.paint();
      painted = true;
      // In step with others that rest as long: one frame for all of them costs less than one each.
      const { rest } = canvas;
      this.#dueAt.set(canvas, Math.ceil(now / rest + 0.5) * rest);
      const { moves } = canvas;
      if (moves < SLOW_MS) {
        const next = now + moves * this.#slack;
        this.#waiting.add(canvas);
        this.#dueAt.set(canvas, next);
        soonest = Math.min(soonest, next);
      }
    }
    this.#weigh(begun);
    if (soonest < Number.POSITIVE_INFINITY) {
      this.#schedule(soonest);
    }
    if (painted) {
      this.onPainted();
    }
  }

  /** Adapt how often pictures move to the time that there is for it. */
  #weigh(begun: number): void {
    const now = performance.now();
    this.#spent += now - begun;
    const since = now - this.#spentSince;
    if (since >= LOAD_MS) {
      const share = this.#spent / since;
      this.#slack = Math.min(16, Math.max(1, (this.#slack * share) / LOAD));
      this.#spent = 0;
      this.#spentSince = now;
    }
  }
}
