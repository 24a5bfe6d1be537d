import { signal } from '@preact/signals';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { IDLE, type Status } from '../../src/client/stream/status.ts';
import { answers } from '../../src/state/answers.ts';
import type { Dashboard } from '../../src/state/dashboard.ts';
import { watchReach } from '../../src/state/reach.ts';

/** A server that all pages of a test ask, and when each tried to connect again. */
let up: boolean;
let hangs: boolean;
let asked: number;
let visibility: string;
/** How far the server's clock is ahead of the browser's, in milliseconds. */
let ahead: number;
beforeEach(() => {
  vi.useFakeTimers();
  [up, hangs, asked, visibility, ahead] = [false, false, 0, 'visible', 0];
  vi.stubGlobal('document', {
    get visibilityState() {
      return visibility;
    },
  });
  vi.stubGlobal('fetch', async () => {
    asked += 1;
    if (hangs) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    if (!up) {
      throw new TypeError('refused');
    }
    const headers = new Headers({ Date: new Date(Date.now() + ahead).toUTCString() });
    return { ok: true, headers };
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** A page that was cut off just now, whose next try is planned for a time far away. */
function page(more: Partial<Status> = {}) {
  const status = signal<Status>({ ...IDLE, phase: 'waiting', cutSince: Date.now(), ...more });
  const tries: number[] = [];
  const heard: number[] = [];
  const dashboard = {
    status,
    overdue: signal(false),
    quietMs: signal(0),
    store: {
      arrival: null as object | null,
      counts: true,
      newest: Number.NEGATIVE_INFINITY,
      interval: 0,
      thinnedMs: 0,
      thinnedUntil: Number.NEGATIVE_INFINITY,
      lastPointsAt: Number.NaN,
    },
    heard: () => heard.push(Date.now()),
    retryNow: () => tries.push(Date.now()),
  };
  watchReach(dashboard as unknown as Dashboard, new URL('http://here/'));
  return { ...dashboard, tries, heard };
}

test.each([false, true])('all are back in two seconds, not together (hangs: %s)', async (hung) => {
  hangs = hung;
  const pages = Array.from({ length: 500 }, () => page());
  await vi.advanceTimersByTimeAsync(30_000);
  expect(pages.flatMap(({ tries }) => tries)).toEqual([]);
  up = true;
  hangs = false;
  const back = Date.now();
  await vi.advanceTimersByTimeAsync(5000);
  const after = pages.map(({ tries }) => tries[0]! - back).sort((a, b) => a - b);
  expect(pages.every(({ tries }) => tries.length === 1)).toBe(true);
  expect(after.at(-1)).toBeLessThan(1500);
  // No tenth of a second sees more than half of them.
  for (const [index, first] of after.slice(0, -250).entries()) {
    expect(after[index + 250]! - first).toBeGreaterThan(100);
  }
});

test('one that the server asked for patience has it', async () => {
  const { tries } = page({ notBefore: Date.now() + 10_000 });
  await vi.advanceTimersByTimeAsync(5000);
  up = true;
  await vi.advanceTimersByTimeAsync(4500);
  expect(tries).toEqual([]);
  await vi.advanceTimersByTimeAsync(2000);
  expect(tries).toHaveLength(1);
});

test('one whose server answers all along waits as it planned, and one out of sight asks nothing', async () => {
  up = true;
  const { tries } = page();
  await vi.advanceTimersByTimeAsync(20_000);
  expect(tries).toEqual([]);
  visibility = 'hidden';
  const before = asked;
  await vi.advanceTimersByTimeAsync(20_000);
  expect(asked).toBe(before);
});

test('a try that waits for a machine that was away is begun anew, and a fresh one is not', async () => {
  const { status, tries } = page();
  await vi.advanceTimersByTimeAsync(3000);
  status.value = { ...status.value, phase: 'connecting' };
  const began = Date.now();
  up = true;
  await vi.advanceTimersByTimeAsync(5000);
  expect(tries).toHaveLength(1);
  expect(tries[0]! - began).toBeGreaterThan(1000);
});

test('a server that hangs is told within seconds, though no sample is missing', async () => {
  up = true;
  const { quietMs, heard } = page({ phase: 'live', cutSince: null });
  quietMs.value = 5000;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(answers.value).toBe(true);
  // It is not asked often while it answers, and what it shows is known until then.
  expect(asked).toBeGreaterThan(5);
  expect(asked).toBeLessThan(20);
  expect(heard).toHaveLength(asked);
  up = false;
  hangs = true;
  await vi.advanceTimersByTimeAsync(9500);
  expect(answers.value).toBe(false);
  up = true;
  hangs = false;
  await vi.advanceTimersByTimeAsync(2500);
  expect(answers.value).toBe(true);
});

test('nobody is blamed before the first answer once samples are missing', async () => {
  hangs = true;
  const { overdue } = page({ phase: 'live', cutSince: null });
  overdue.value = true;
  expect(answers.value).toBe(null);
  await vi.advanceTimersByTimeAsync(1100);
  expect(answers.value).toBe(false);
  overdue.value = false;
  expect(answers.value).toBe(true);
});

test.each([
  ['that is as old by its clock', 0, 60],
  ['that is fresh, by a browser whose clock is wrong', -60_000, 0],
])('the past of a silent source is dated by the server: one %s', async (_, clocks, seconds) => {
  up = true;
  ahead = clocks;
  const { store, quietMs } = page({ phase: 'live', cutSince: null });
  const loaded = Date.now();
  Object.assign(store, { newest: loaded - 60_000, interval: 1000, lastPointsAt: loaded });
  quietMs.value = 1;
  await vi.advanceTimersByTimeAsync(100);
  expect(asked).toBe(1);
  expect(Math.abs(loaded - store.lastPointsAt - seconds * 1000)).toBeLessThanOrEqual(1000);
});

test.each([
  ['is younger than two intervals', { newest: -15_000, interval: 10_000 }],
  ['has one sample only', { newest: -60_000 }],
  ['is followed by what is live', { newest: -60_000, interval: 1000, arrival: {} }],
  ['is of states', { newest: -60_000, interval: 1000, counts: false }],
])('the past is taken as it comes where it %s', async (_, past) => {
  up = true;
  const { store, quietMs } = page({ phase: 'live', cutSince: null });
  const loaded = Date.now();
  Object.assign(store, { lastPointsAt: loaded, ...past, newest: loaded + past.newest });
  quietMs.value = 1;
  await vi.advanceTimersByTimeAsync(3000);
  expect([asked, store.lastPointsAt]).toEqual([0, loaded]);
});

test('a thinned past is dated by how far apart its points are', async () => {
  up = true;
  const { store, quietMs } = page({ phase: 'live', cutSince: null });
  const loaded = Date.now();
  const newest = loaded - 60_000;
  Object.assign(store, { newest, lastPointsAt: loaded, thinnedMs: 5000, thinnedUntil: newest });
  quietMs.value = 1;
  await vi.advanceTimersByTimeAsync(100);
  expect(loaded - store.lastPointsAt).toBeGreaterThan(58_000);
});
