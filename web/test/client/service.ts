/** A service that keeps all that is published, and streams it as the real one does. */

import type {
  End,
  Listener,
  Request,
  Transport,
  TransportName,
} from '../../src/client/links/transport.ts';
import type { Description, Document, Point } from '../../src/client/protocol/documents.ts';
import { parseDuration } from '../../src/client/protocol/duration.ts';
import { type Matcher, read } from '../../src/client/protocol/selector.ts';

interface Sample {
  readonly seq: number;
  readonly name: string;
  readonly point: Point;
}

/** A link that is open at the service. */
interface Session {
  readonly transport: TransportName;
  select: string[];
  maxHz: number;
  readonly listener: Listener;
  readonly since: string | null;
}

export class Service {
  /** Links that are open now. */
  readonly sessions = new Set<Session>();
  /** The step that each link was opened with. */
  readonly steps: (string | null)[] = [];
  /** How often one was opened. */
  opened = 0;
  /** Selectors that it refuses to read. */
  readonly unreadable = new Set<string>();
  down = false;
  private readonly epoch: string;
  private readonly samples: Sample[] = [];
  private readonly refs = new Map<string, number>();

  constructor(epoch = 'E') {
    this.epoch = epoch;
  }

  get seq(): number {
    return this.samples.length;
  }

  transports(...names: TransportName[]): Transport[] {
    const all: TransportName[] = names.length > 0 ? names : ['websocket'];
    return all.map((name) => ({
      name,
      hold: 0,
      open: (request, listener) => this.open(name, request, listener),
    }));
  }

  publish(name: string, value: number, time = Date.now()): void {
    if (!this.refs.has(name)) {
      this.refs.set(name, this.refs.size + 1);
    }
    const point: Point = [this.refs.get(name)!, time, value];
    this.samples.push({ seq: this.samples.length + 1, name, point });
    for (const session of [...this.sessions]) {
      if (this.wants(session.select)(name, {})) {
        session.listener.received(this.points([this.samples.at(-1)!], this.seq));
      }
    }
  }

  /** Cut all links. */
  cut(end: Partial<End> = {}): void {
    for (const session of [...this.sessions]) {
      this.sessions.delete(session);
      session.listener.ended({ advice: 'back-off', reason: 'cut', ...end });
    }
  }

  private open(
    transport: TransportName,
    request: () => Request,
    listener: Listener,
  ): ReturnType<Transport['open']> {
    const { searchParams } = request().url;
    const session: Session = {
      transport,
      select: searchParams.getAll('select'),
      maxHz: Number(searchParams.get('max_hz') ?? 10),
      listener,
      since: searchParams.get('since'),
    };
    let closed = false;
    this.steps.push(searchParams.get('step'));
    this.opened += 1;
    setTimeout(() => {
      if (closed) {
        return;
      }
      const bad = session.select.find((one) => this.unreadable.has(one));
      if (this.down) {
        listener.ended({ advice: 'back-off', reason: 'down' });
      } else if (bad !== undefined) {
        listener.ended({ advice: 'never', code: 'selector', reason: `${bad} can't be read` });
      } else {
        this.sessions.add(session);
        if (transport !== 'longpoll') {
          listener.received(this.hello(session));
        }
        this.replay(session, searchParams.get('window'));
        if (transport === 'longpoll' && !closed) {
          listener.alive(`${this.epoch}.${this.seq}`);
        }
      }
    }, 1);
    return {
      close: () => {
        closed = true;
        this.sessions.delete(session);
      },
      ...(transport === 'longpoll'
        ? {}
        : {
            watch: async (change) => {
              setTimeout(() => {
                if (!this.sessions.has(session)) {
                  return;
                }
                if (change.select?.some((one) => this.unreadable.has(one))) {
                  this.sessions.delete(session);
                  listener.ended({
                    advice: 'never',
                    code: 'selector',
                    reason: `${change.select.at(-1)} can't be read`,
                  });
                  return;
                }
                const old = this.wants(session.select);
                const before = session.select;
                session.select = [...(change.select ?? session.select)];
                session.maxHz = change.max_hz ?? session.maxHz;
                const fresh = this.wants(session.select.filter((one) => !before.includes(one)));
                listener.received(this.hello(session));
                const added = (name: string): boolean => fresh(name, {}) && !old(name, {});
                this.history(added, session, change.window ?? null);
              }, 1);
              return null;
            },
          }),
    };
  }

  private replay(session: Session, window: string | null): void {
    const [epoch, seq] = session.since?.split('.') ?? [];
    const matches = this.wants(session.select);
    if (epoch === this.epoch) {
      const missed = this.samples.filter((one) => one.seq > Number(seq) && matches(one.name, {}));
      session.listener.received(this.points(missed, this.seq, session));
      return;
    }
    if (session.since !== null) {
      session.listener.received({ type: 'gap', id: `${this.epoch}.0`, lost: null });
    }
    this.history((name) => matches(name, {}), session, window);
  }

  private history(
    matches: (name: string) => boolean,
    session: Session,
    window: string | null,
  ): void {
    const newest = new Map<string, Sample>();
    const after = window === null ? Number.POSITIVE_INFINITY : Date.now() - parseDuration(window);
    const past: Sample[] = [];
    for (const sample of this.samples.filter(({ name }) => matches(name))) {
      if (sample.point[1] >= after) {
        past.push(sample);
      } else {
        newest.set(sample.name, sample);
      }
    }
    const alone = [...newest.values()].filter(({ name }) => !past.some((one) => one.name === name));
    session.listener.received(this.points([...alone, ...past], this.seq, session));
  }

  private points(samples: readonly Sample[], seq: number, describe?: Session): Document {
    const matches = this.wants(describe?.select ?? []);
    const names =
      describe === undefined
        ? samples.map(({ name }) => name)
        : [...this.refs.keys()].filter((name) => matches(name, {}));
    const series: Description[] = names.map((name) => ({
      ref: this.refs.get(name)!,
      name,
      labels: {},
      kind: 'gauge',
      unit: '',
    }));
    return {
      type: 'points',
      id: `${this.epoch}.${seq}`,
      series,
      points: samples.map(({ point }) => point),
    };
  }

  private hello({ select, maxHz }: Session): Document {
    return {
      type: 'hello',
      epoch: this.epoch,
      session: 's',
      heartbeat: 15,
      granted: { max_hz: maxHz, merge: 'all', select },
    };
  }

  private wants(select: readonly string[]): Matcher {
    const all = select.map((one) => read(one) ?? (() => true));
    return (name, labels) => all.some((matches) => matches(name, labels));
  }
}
