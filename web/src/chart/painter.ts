import type { Panel } from '../store/panel.ts';

/** Something that draws a panel when it is told to. */
export interface Canvas {
  readonly panel: Panel;
  readonly inSight: boolean;
  paint(): void;
}

/** Draws what is new once per animation frame, and only what is in sight. */
export class Painter {
  private readonly canvases = new Set<Canvas>();
  private readonly waiting = new Set<Canvas>();
  private frame = 0;

  /** Take part until the function that is returned is called. */
  add(canvas: Canvas): () => void {
    this.canvases.add(canvas);
    this.mark(canvas);
    return () => {
      this.canvases.delete(canvas);
      this.waiting.delete(canvas);
    };
  }

  dirty(panels: ReadonlySet<Panel>): void {
    for (const canvas of this.canvases) {
      if (panels.has(canvas.panel)) {
        this.mark(canvas);
      }
    }
  }

  dirtyAll(): void {
    for (const canvas of this.canvases) {
      this.mark(canvas);
    }
  }

  mark(canvas: Canvas): void {
    this.waiting.add(canvas);
    if (this.frame === 0) {
      this.frame = requestAnimationFrame(() => this.paint());
    }
  }

  private paint(): void {
    this.frame = 0;
    for (const canvas of this.waiting) {
      // The others stay marked until they come in sight.
      if (canvas.inSight) {
        this.waiting.delete(canvas);
        canvas.paint();
      }
    }
  }
}
