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

const clock = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});

/** Time of day, 24 hours, to the second. */
export function formatClock(time: number): string {
  return clock.format(time);
}
