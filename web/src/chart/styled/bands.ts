interface Band {
  readonly level: 'warning' | 'critical';
  readonly from: number;
  readonly to: number;
}

/** What of an axis each threshold takes, up to the next one. */
export function bandsOf(
  marks: readonly {
    readonly at: number;
    readonly level: 'warning' | 'critical';
    readonly below?: boolean;
  }[],
  min: number,
  max: number,
): Band[] {
  const within = (value: number): number => Math.min(max, Math.max(min, value));
  const up = marks.filter(({ below }) => !below).sort((a, b) => a.at - b.at);
  const down = marks.filter(({ below }) => below).sort((a, b) => b.at - a.at);
  return [
    ...up.map(({ at, level }, index) => ({ level, from: at, to: up[index + 1]?.at ?? max })),
    ...down.map(({ at, level }, index) => ({ level, from: down[index + 1]?.at ?? min, to: at })),
  ]
    .map(({ level, from, to }) => ({ level, from: within(from), to: within(to) }))
    .filter(({ from, to }) => from < to);
}
