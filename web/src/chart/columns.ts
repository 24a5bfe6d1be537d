/** Charts whose left edges differ by at most this many CSS pixels are in one column. */
const APART = 4;

interface Place {
  readonly column: number;
  readonly width: number;
  readonly changed: () => void;
}

/**
 * The y-axes of the charts in one column. All are as wide as the widest, so that a time is at the
 * same place in each chart.
 */
export class Columns {
  readonly #places = new Map<object, Place>();

  /**
   * Tell how wide an axis the chart `left` CSS pixels from the left needs. Returns the width of its
   * column. `changed` is called when that width changes.
   */
  agree(chart: object, left: number, width: number, changed: () => void): number {
    const column = Math.round(left / APART);
    const before = this.#places.get(chart);
    if (before?.column !== column || before.width !== width) {
      const was = this.#widest(column);
      const left = before === undefined ? null : [before.column, this.#widest(before.column)];
      this.#places.set(chart, { column, width, changed });
      this.#tell(column, was, chart);
      if (left !== null && left[0] !== column) {
        this.#tell(left[0]!, left[1]!, chart);
      }
    }
    return this.#widest(column);
  }

  leave(chart: object): void {
    const place = this.#places.get(chart);
    if (place !== undefined) {
      const was = this.#widest(place.column);
      this.#places.delete(chart);
      this.#tell(place.column, was, chart);
    }
  }

  #widest(column: number): number {
    let widest = 0;
    for (const place of this.#places.values()) {
      if (place.column === column && place.width > widest) {
        widest = place.width;
      }
    }
    return widest;
  }

  #tell(column: number, was: number, except: object): void {
    if (this.#widest(column) !== was) {
      for (const [chart, place] of this.#places) {
        if (chart !== except && place.column === column) {
          place.changed();
        }
      }
    }
  }
}
