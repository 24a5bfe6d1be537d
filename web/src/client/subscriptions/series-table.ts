/**
 * The series that one stream brought to this tab, by ref and by identity: their points, and which
 * subscriptions are given them.
 */

import { identityOf, Series, type SeriesCopy, type SeriesPoint } from '../data/series.ts';
import type { Ending } from '../data/update.ts';
import type { Description, Document, Hello, Merge, Points } from '../protocol/documents.ts';
import { learn, type Matcher, results } from '../protocol/selector.ts';
import type { Subscription } from './subscription.ts';

const TRIM_MS = 5_000;
/** Milliseconds that points are kept for where no window was asked for. */
const SHORTEST_MS = 60_000;

/** One series, its identity, and the subscriptions that it is given to. */
interface Route {
  readonly identity: string;
  readonly series: Series;
  consumers: readonly Subscription[];
}

/** Part of a table, for another tab to continue from. */
export interface TableCopy {
  readonly epoch: string | null;
  /** The newest `hello` of the stream. */
  readonly hello: Hello | null;
  /** The names of results that are known. */
  readonly expressions?: Readonly<Record<string, string>>;
  readonly series: readonly SeriesCopy[];
}

export class SeriesTable {
  /** Keep the series that no subscription here matches as well: another tab may ask for them. */
  keepAll = false;
  readonly #merge: Merge;
  #keepMs: number;
  #epoch: string | null = null;
  #hello: Hello | null = null;
  readonly #matchers = new Map<Subscription, Matcher | null>();
  readonly routes = new Map<string, Route>();
  refs = new Map<number, Route>();
  #gapId: string | null = null;
  #newest = Number.NEGATIVE_INFINITY;
  #trimmedAt = 0;

  constructor(merge: Merge, window: number | null) {
    this.#merge = merge;
    this.#keepMs = Math.max(window ?? 0, SHORTEST_MS);
  }

  get subscriptions(): Iterable<Subscription> {
    return this.#matchers.keys();
  }

  /** Whether a subscription is attached. */
  serves(subscription: Subscription): boolean {
    return this.#matchers.has(subscription);
  }

  /** Keep points for longer. */
  widen(window: number | null): void {
    this.#keepMs = Math.max(this.#keepMs, window ?? 0);
  }

  /**
   * Serve a subscription: at once with what is held, then with what comes. Without a matcher it is
   * given every series. The past of the selectors in `had` has come already.
   */
  attach(subscription: Subscription, matcher: Matcher | null, had: readonly string[] = []): void {
    for (const [identity, known] of subscription.known) {
      // The series is in another table, which may go on for others: this table needs a copy.
      if (!this.routes.has(identity)) {
        const series = known.clone();
        series.expectRepeats(this.#merge !== 'all');
        this.routes.set(identity, { identity, series, consumers: [] });
      }
    }
    this.#matchers.set(subscription, matcher);
    const since = this.#since(subscription.spec.window);
    const points: SeriesPoint[] = [];
    for (const route of this.routes.values()) {
      if (accepts(matcher, route.series)) {
        const known = subscription.known.get(route.identity);
        if (known === undefined) {
          append(points, route.series.points(since));
        } else if (known !== route.series) {
          append(points, route.series.points((known.latest?.time ?? since) + 1, false));
        }
        route.consumers = [...route.consumers, subscription];
        subscription.hold(route.identity, route.series);
      }
    }
    if (points.length > 0) {
      subscription.deliver({ type: 'points', points });
    }
    if (this.#hello !== null) {
      this.#greet(this.#hello);
      subscription.raw &&
        this.#brief([subscription], this.copy(matcher, subscription.spec.window), had);
    }
  }

  /** Give subscriptions that take documents what is held, in the form of documents. */
  #brief(
    subscriptions: Iterable<Subscription>,
    { hello, series }: TableCopy,
    had: readonly string[],
  ): void {
    for (const subscription of subscriptions) {
      if (subscription.raw && hello !== null) {
        subscription.expectRepeats();
        subscription.pass(hello);
        subscription.pass(documentOf(series));
        subscription.joined(had);
      }
    }
  }

  /** Stop serving it. Series that no subscription is given are forgotten. */
  detach(subscription: Subscription): void {
    this.#matchers.delete(subscription);
    for (const route of this.routes.values()) {
      route.consumers = route.consumers.filter((consumer) => consumer !== subscription);
      if (route.consumers.length === 0 && !this.keepAll) {
        this.routes.delete(route.identity);
      }
    }
    for (const [ref, { identity }] of this.refs) {
      if (!this.routes.has(identity)) {
        this.refs.delete(ref);
      }
    }
  }

  take(document: Document): void {
    learn(document);
    for (const subscription of [...this.#matchers.keys()]) {
      if (subscription.raw) {
        subscription.pass(document);
      }
    }
    switch (document.type) {
      case 'hello':
        this.#greet(document);
        this.#enter(document.epoch);
        break;
      case 'failing':
        this.#hello && this.#greet({ ...this.#hello, failing: document.failing });
        break;
      case 'points':
        this.#points(document);
        this.#trim();
        break;
      case 'gap':
        this.#gap(document.id, document.lost);
        break;
      case 'gone':
        this.#gone(document.refs);
        break;
      default:
        break;
    }
  }

  /** What comes next of the series that match may repeat what is held. */
  expectRepeats(matcher: Matcher | null): void {
    for (const { series } of this.routes.values()) {
      if (accepts(matcher, series)) {
        series.expectRepeats(this.#merge !== 'all');
      }
    }
    for (const subscription of this.#matchers.keys()) {
      subscription.expectRepeats();
    }
  }

  /** What is held of the series that match, with the refs under which more will come. */
  copy(matcher: Matcher | null, window: number | null): TableCopy {
    const since = this.#since(window);
    const series: SeriesCopy[] = [];
    for (const [ref, route] of this.refs) {
      if (accepts(matcher, route.series)) {
        series.push(route.series.copy(ref, since));
      }
    }
    return { epoch: this.#epoch, hello: this.#hello, series, expressions: results };
  }

  /** Take in what another tab holds. Points that are held here are not delivered again. */
  load(copy: TableCopy, had: readonly string[] = []): void {
    learn(copy);
    this.expectRepeats(null);
    copy.hello && this.#greet(copy.hello);
    if (copy.epoch !== null) {
      this.#enter(copy.epoch);
    }
    this.#points(documentOf(copy.series));
    this.#brief(this.#matchers.keys(), copy, had);
  }

  /** Take note of the newest `hello`, as it would be by now, and tell what fails by that. */
  #greet(hello: Hello): void {
    this.#hello = hello;
    learn(hello.granted);
    for (const [subscription, matcher] of this.#matchers) {
      subscription.fail(
        Object.entries(hello.failing ?? {}).filter(([name]) => !matcher || matcher(name, {})),
      );
    }
  }

  #enter(epoch: string): void {
    if (epoch !== this.#epoch) {
      if (this.#epoch !== null) {
        this.refs = new Map();
        this.expectRepeats(null);
        for (const { series } of this.routes.values()) {
          // The server describes next those that it still has, or has again.
          series.gone = true;
        }
      }
      this.#epoch = epoch;
    }
  }

  #points(document: Points): void {
    for (const description of document.series ?? []) {
      this.#describe(description);
    }
    const news = new Map<Subscription, SeriesPoint[]>();
    for (const point of document.points) {
      const route = this.refs.get(point[0]);
      const told = route?.series.put(point);
      if (told) {
        this.#newest = Math.max(this.#newest, told.time);
        for (const consumer of route!.consumers) {
          const points = news.get(consumer);
          if (points === undefined) {
            news.set(consumer, [told]);
          } else {
            points.push(told);
          }
        }
      }
    }
    for (const [subscription, points] of news) {
      subscription.deliver({ type: 'points', points });
    }
    this.#end(document.ended ?? []);
  }

  #end(endings: readonly (readonly [ref: number, time: number])[]): void {
    const news = new Map<Subscription, Ending[]>();
    for (const [ref, time] of endings) {
      const route = this.refs.get(ref);
      if (route?.series.end(time)) {
        for (const consumer of route.consumers) {
          news.set(consumer, [...(news.get(consumer) ?? []), { series: route.series, time }]);
        }
      }
    }
    for (const [subscription, endings] of news) {
      subscription.deliver({ type: 'ended', endings });
    }
  }

  #describe(description: Description): void {
    const identity = identityOf(description.name, description.labels);
    let route = this.routes.get(identity);
    if (route === undefined) {
      const series = new Series(description);
      const consumers = [...this.#matchers]
        .filter(([, matcher]) => accepts(matcher, series))
        .map(([subscription]) => subscription);
      if (consumers.length === 0 && !this.keepAll) {
        this.refs.delete(description.ref);
        return;
      }
      route = { identity, series, consumers };
      this.routes.set(identity, route);
      for (const consumer of consumers) {
        consumer.hold(identity, series);
      }
    } else {
      route.series.describe(description);
    }
    this.refs.set(description.ref, route);
  }

  #gap(id: string, lost: number | null): void {
    if (id === this.#gapId) {
      return; // the same gap, repeated
    }
    this.#gapId = id;
    if (lost === null) {
      // Nobody knows what is missing, so that what comes may be what is held.
      this.expectRepeats(null);
    }
    for (const subscription of this.#matchers.keys()) {
      subscription.deliver({ type: 'gap', lost });
    }
  }

  #gone(refs: readonly number[]): void {
    const news = new Map<Subscription, Series[]>();
    for (const ref of refs) {
      const route = this.refs.get(ref);
      if (route !== undefined) {
        this.refs.delete(ref);
        route.series.gone = true;
        for (const consumer of route.consumers) {
          news.set(consumer, [...(news.get(consumer) ?? []), route.series]);
        }
      }
    }
    for (const [subscription, series] of news) {
      subscription.deliver({ type: 'gone', series });
    }
  }

  #since(window: number | null): number {
    return window === null ? Number.POSITIVE_INFINITY : this.#newest - window;
  }

  #trim(): void {
    const now = Date.now();
    if (now - this.#trimmedAt < TRIM_MS) {
      return;
    }
    this.#trimmedAt = now;
    const before = this.#newest - this.#keepMs;
    for (const route of this.routes.values()) {
      const { series } = route;
      series.trim(before);
      if (series.gone && (series.latest?.time ?? before) <= before) {
        this.routes.delete(route.identity);
        for (const consumer of route.consumers) {
          consumer.forget(route.identity);
        }
      }
    }
  }
}

/** Series that are held, as a document of the stream. */
function documentOf(series: readonly SeriesCopy[]): Points {
  return {
    type: 'points',
    series: series.map(({ description }) => description),
    points: series.flatMap(({ points }) => points),
    ended: series.flatMap(({ description: { ref }, endings }) =>
      endings.map((time) => [ref, time] as const),
    ),
  };
}

function append(points: SeriesPoint[], more: Iterable<SeriesPoint>): void {
  for (const point of more) {
    points.push(point);
  }
}

function accepts(matcher: Matcher | null, { name, labels }: Series): boolean {
  return matcher === null || matcher(name, labels);
}
