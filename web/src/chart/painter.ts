import type { Panel } from '../store/panel.ts';

/** Something that draws a panel when it is told to. */
export interface Canvas {
  readonly panel: Panel;
  readonly inSight: boolean;
  /** Milliseconds in which new points would hardly move anything. */
  readonly rest: number;
  paint(): void;
}

/** Draws what is new once per animation frame at the most, and only what is in sight. */
export class Painter {
  private readonly paintedAt = new Map<Canvas, number>();
  private readonly waiting = new Set<Canvas>();
  private frame = 0;

  /** Take part until the function that is returned is called. */
  add(canvas: Canvas): () => void {
    this.paintedAt.set(canvas, Number.NEGATIVE_INFINITY);
    this.mark(canvas);
    return () => {
      this.paintedAt.delete(canvas);
      this.waiting.delete(canvas);
    };
  }

  /** These panels have new points. */
  dirty(panels: ReadonlySet<Panel>): void {
    for (const canvas of this.paintedAt.keys()) {
      if ([...canvas.panel.sources].some((source) => panels.has(source))) {
        this.mark(canvas);
      }
    }
  }

  /** Time has passed. */
  dirtyAll(): void {
    for (const canvas of this.paintedAt.keys()) {
      this.mark(canvas);
    }
  }

  /** Someone did something and waits to see it: draw in the next frame. */
  hurry(canvas: Canvas): void {
    if (this.paintedAt.has(canvas)) {
      this.paintedAt.set(canvas, Number.NEGATIVE_INFINITY);
      this.mark(canvas);
    }
  }

  private mark(canvas: Canvas): void {
    this.waiting.add(canvas);
    this.schedule();
  }

  private schedule(): void {
    if (this.frame === 0) {
      this.frame = requestAnimationFrame((now) => this.paint(now));
    }
  }

  private paint(now: number): void {
    this.frame = 0;
    for (const canvas of this.waiting) {
      // Those out of sight stay marked until they are seen.
      if (!canvas.inSight) {
        continue;
      }
      if (now - this.paintedAt.get(canvas)! < canvas.rest) {
        this.schedule();
        continue;
      }
      this.waiting.delete(canvas);
      this.paintedAt.set(canvas, now);
      canvas.paint();
    }
  }
}
