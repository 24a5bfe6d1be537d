/** How long ago something was, to one unit. */
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

/** A span of time as in a query: `1h30m`. */
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
  timeZoneName: 'short',
});

/** The time of day, 24 hours, with seconds and zone: two viewers may be in different zones. */
export function formatClock(time: number): string {
  return clock.format(time);
}

const moment = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  timeZoneName: 'short',
});

/** A time that may be on another day. */
export function formatMoment(time: number): string {
  return moment.format(time);
}

const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });
const TWO_DAYS = 172_800_000;

/**
 * Labels of an axis of moments: days, or times of day if they are near each other, with the date
 * unless it is today.
 */
export function formatMoments(times: readonly number[], now = Date.now()): string[] {
  const near = Math.max(...times) - Math.min(...times) < TWO_DAYS;
  const today = day.format(now);
  // With seconds if any of them needs them, like the time axis.
  const letters = times.every((time) => time % 60_000 === 0) ? 5 : 8;
  return times.map((time) => {
    const date = day.format(time);
    const text = clock.format(time).slice(0, letters);
    return near ? (date === today ? text : `${date.slice(0, -5)} ${text}`) : date;
  });
}
