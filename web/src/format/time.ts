/** How long ago, in how long: one unit is enough. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) {
    return `${seconds}\u202fs`;
  }
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) {
    return `${minutes}\u202fmin`;
  }
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours}\u202fh` : `${Math.floor(hours / 24)}\u202fd`;
}

/** A span of time as it is written in a query: `1h30m`. */
export function formatSpan(ms: number): string {
  let seconds = Math.max(1, Math.round(ms / 1000));
  let text = '';
  for (const [unit, length] of [
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    const count = Math.floor(seconds / length);
    seconds -= count * length;
    text += count > 0 ? `${count}${unit}` : '';
  }
  return text;
}

const clock = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});

/** Time of day, 24 hours, to the second. */
export function formatClock(time: number): string {
  return clock.format(time);
}
