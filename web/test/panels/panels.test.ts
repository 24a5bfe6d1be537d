import { afterEach, expect, test, vi } from 'vitest';
import { select } from '../../src/panels/gathering.ts';
import { reached } from '../../src/panels/model.ts';
import { readingsAt } from '../../src/panels/reading.ts';
import { expressionIn, matching, searchFor } from '../../src/panels/search.ts';
import { isolate, isShown, lines, nameOf, showAll, toggle } from '../../src/panels/shown.ts';
import { summaryOf } from '../../src/panels/summary.ts';
import { Clock } from '../../src/state/clock.ts';
import { type Member, Panel } from '../../src/store/panel.ts';
import { Series } from '../../src/store/series.ts';
import { Store } from '../../src/store/store.ts';

afterEach(() => vi.useRealTimers());

function series(name: string, host: string, unit = ''): Series {
  return new Series({ ref: 1, name, labels: { host }, kind: 'gauge', unit });
}

function panelOf(...all: Series[]): Panel {
  const panel = new Panel(all[0]!);
  for (const one of all) {
    panel.add(one);
  }
  panel.arrange();
  return panel;
}

test('a search is an expression where only one has what it has, or after =', () => {
  for (const words of ['cpu user', 'mode=user', 'up{job="a (b)"}', '/dev/sda', 'a-b', 'sum', '']) {
    expect(expressionIn(words), words).toBeNull();
    expect(expressionIn(`=${words}`)).toBe(words);
    expect(expressionIn(searchFor(words))).toBe(words);
  }
  for (const asked of ['rate(', 'up[5m]', 'a / b', 'up == 0', 'a{b="c"} or d', "x{y='}'} * 2"]) {
    expect(expressionIn(asked), asked).toBe(asked);
    expect(searchFor(asked)).toBe(asked);
  }
});

test('a selector gathers series of one unit, and knows where they are from', () => {
  const load = panelOf(series('load', 'a'), series('load', 'b'));
  const heat = panelOf(series('heat', 'a', 'celsius'));
  const group = select([load, heat], { select: '{host="a"}' })!;
  expect(group.members.map(({ series: one }) => one.name)).toEqual(['load']);
  expect([...group.sources]).toEqual([load]);
  expect(select([load, heat], { select: 'load{host=~"c.*"}' })).toBeNull();
});

test('the commonest unit is drawn, and stays until another is clearly commoner', () => {
  const heat = panelOf(series('heat', 'a', 'celsius'));
  const load = (...hosts: string[]) => panelOf(...hosts.map((host) => series('load', host)));
  const everything = { select: '{__name__=~".+"}' };
  const group = select([heat, load('a', 'b')], everything)!;
  expect(group.unit).toBe('');
  expect(group.members).toHaveLength(2);
  expect([...group.omitted]).toEqual([['gauge in celsius', 1]]);
  const warm = panelOf(...['a', 'b', 'c', 'd', 'e'].map((host) => series('heat', host, 'celsius')));
  expect(select([warm, load('a', 'b', 'c', 'd')], everything, group)!.unit).toBe('');
  expect(select([warm, load('a', 'b')], everything, group)!.unit).toBe('celsius');
  // Where the panel says the unit, all are drawn.
  const all = select([warm, load('a')], { ...everything, unit: 'W' })!;
  expect(all.members).toHaveLength(6);
  expect(all.omitted.size).toBe(0);
});

test('the group stays the same object until a series comes or goes', () => {
  const a = series('load', 'a');
  const panels = [panelOf(a)];
  const before = select(panels, { select: 'load' })!;
  expect(select(panels, { select: 'load' }, before)).toBe(before);
  const more = select([panelOf(a, series('load', 'b'))], { select: 'load' }, before)!;
  expect(more).not.toBe(before);
  expect(more.members).toHaveLength(2);
});

test('the highest threshold that is reached counts, in whatever order they are given', () => {
  const thresholds = [
    { at: 90, level: 'critical' },
    { at: 70, level: 'warning' },
  ] as const;
  expect(reached(thresholds, 69.9)).toBeNull();
  expect(reached(thresholds, 70)?.level).toBe('warning');
  expect(reached(thresholds, 1000)?.level).toBe('critical');
  expect(reached(undefined, 1)).toBeNull();
  expect(reached(thresholds, Number.NaN)).toBeNull();
});

test('a summary is of what lies within the time, and merged points keep their ends', () => {
  const one = series('load', 'a');
  one.put(1_000, 100);
  one.put(2_000, 1);
  one.put(3_000, 3, 0, 9);
  one.put(4_000, 100);
  expect(summaryOf(one, 2_000, 3_500)).toEqual({ least: 0, most: 9, mean: 2 });
  expect(summaryOf(one, 10_000, 20_000).mean).toBeNaN();
});

test('the lag is told from what is new, by the newest of a frame, never from a replay', () => {
  vi.useFakeTimers({ now: 1_000_000 });
  const store = new Store({ arranged: () => {}, changed: () => {} });
  store.take({
    type: 'hello',
    epoch: 'E',
    session: 's',
    heartbeat: 15,
    granted: { max_hz: 10, merge: 'all', select: [] },
  });
  const load = { ref: 1, name: 'load', labels: {}, kind: 'gauge', unit: '' } as const;
  const points = (sent: number | undefined, ...times: number[]) =>
    store.take({
      type: 'points',
      id: 'E.1',
      series: [load],
      ...(sent !== undefined && { time: sent }),
      points: times.map((time) => [1, time, 1]),
    });
  points(undefined, 400_000);
  expect(store.arrival).toBeNull();
  vi.advanceTimersByTime(5_000);
  points(1_004_950, 1_004_900, 900_000);
  expect(store.arrival).toEqual({ time: 1_004_900, sent: 1_004_950, at: 1_005_000 });
});

test('the clock of the server is known from its quickest frame', () => {
  vi.useFakeTimers({ now: 1_000_000 });
  const clock = new Clock();
  // The server is 5 s ahead, the way takes 10 ms, and sometimes longer.
  for (const late of [40, 0, 300, 15]) {
    vi.advanceTimersByTime(1_000);
    clock.heard(Date.now() + 5_000 - 10 - late, 20);
  }
  expect(clock.now() - Date.now()).toBe(5_000);
  // It was set right meanwhile; what was heard before is forgotten in time.
  for (let turn = 0; turn < 100; turn += 1) {
    vi.advanceTimersByTime(1_000);
    clock.heard(Date.now() - 10, 20);
  }
  expect(clock.now() - Date.now()).toBe(0);
});

test('a search is words, or a selector as the stream takes it', () => {
  const load = panelOf(series('node_load1', 'a'), series('node_load1', 'b'));
  const heat = panelOf(series('heat', 'b', 'celsius'));
  const all = [load, heat];
  expect(matching(all, 'LOAD host=b')).toEqual([load]);
  expect(matching(all, '{host="a"}')).toEqual([load]);
  expect(matching(all, '{host=~"a|b"}')).toEqual(all);
  expect(matching(all, 'heat{host!="b"}')).toEqual([]);
  // One that isn't finished yet is looked for as words.
  expect(matching(all, 'heat{')).toEqual([]);
});

test('a search that finds nothing finds what is like it', () => {
  const cpu = panelOf(series('node_cpu_seconds_total', 'a'));
  const memory = panelOf(series('node_memory_bytes', 'a'));
  const all = [memory, cpu];
  const found = (filter: string) => matching(all, filter).map(({ name }) => name);
  expect(found('memroy')).toEqual(['node_memory_bytes']);
  expect(found('secnds')).toEqual(['node_cpu_seconds_total']);
  expect(found('memoryy bytes')).toEqual(['node_memory_bytes']);
  expect(found('ncpu')).toEqual(['node_cpu_seconds_total']);
  expect(found('nmb')).toEqual(['node_memory_bytes']);
  // What is meant exactly is not mixed with what is only like it.
  expect(found('cpu')).toEqual(['node_cpu_seconds_total']);
  expect(found('xyz')).toEqual([]);
  expect(found('disk')).toEqual([]);
});

test('a line is hidden, alone, or both, and what is hidden last shows all again', () => {
  const { members } = panelOf(series('load', 'a'), series('load', 'b"\n'), series('load', 'c'));
  const [a, b, c] = members as [Member, Member, Member];
  const shown = () => members.filter((one) => isShown('p', one));
  expect(shown()).toEqual([a, b, c]);
  toggle('p', b);
  expect(shown()).toEqual([a, c]);
  expect([...lines.value.get('p')!.names]).toEqual(['load{host="b\\"\\n"}']);
  isolate('p', c);
  expect(shown()).toEqual([c]);
  toggle('p', a);
  expect(shown()).toEqual([a, c]);
  // Another panel has lines of its own.
  expect(isShown('q', b)).toBe(true);
  isolate('p', a);
  isolate('p', a);
  expect(shown()).toEqual([a, b, c]);
  isolate('p', a);
  toggle('p', a);
  expect(shown()).toEqual([a, b, c]);
  for (const one of members) {
    toggle('p', one);
  }
  expect(shown()).toEqual([]);
  showAll('p');
  expect(lines.value.size).toBe(0);
  expect(nameOf({ name: 'up', labels: {} })).toBe('up');
});

test('what lines are at a moment: the highest first, and of those without a value why', () => {
  vi.useFakeTimers({ now: 1_000_000 });
  const [low, high, quiet, ended] = ['low', 'high', 'quiet', 'ended'].map((host) =>
    series('load', host),
  ) as [Series, Series, Series, Series];
  for (let time = 1_000_000; time <= 1_010_000; time += 1_000) {
    vi.setSystemTime(time);
    low.put(time, 1);
    high.put(time, 9);
    if (time <= 1_003_000) {
      quiet.put(time, 5);
      ended.put(time, 6);
    }
  }
  ended.end(1_003_500);
  const panel = panelOf(low, high, quiet, ended);
  const read = (time: number) =>
    readingsAt('r', panel, time, 1_010_000).map(({ member: { title }, value, state }) => [
      title,
      value,
      state,
    ]);
  expect(read(1_002_500)).toEqual([
    ['high', 9, ''],
    ['ended', 6, ''],
    ['quiet', 5, ''],
    ['low', 1, ''],
  ]);
  expect(read(1_009_000)).toEqual([
    ['high', 9, ''],
    ['low', 1, ''],
    ['ended', Number.NaN, 'ended'],
    ['quiet', Number.NaN, 'silent'],
  ]);
  toggle('r', panel.members.find(({ title }) => title === 'high')!);
  expect(read(900_000)[0]).toEqual(['ended', Number.NaN, 'no sample']);
  expect(read(1_009_000)[0]).toEqual(['low', 1, '']);
  showAll('r');
});
