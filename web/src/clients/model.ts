/** What the service says of its clients, and how that is put in words. */

import { formatAge } from '../format/time.ts';
import { formatOf } from '../format/units.ts';

/** One that sends: an entry of `GET /v1/producers`. */
export interface Producer {
  readonly format: string;
  readonly producer: string;
  readonly kind: 'identity' | 'address';
  readonly key: string;
  readonly agent: string;
  readonly address: string;
  readonly first_ms: number;
  readonly last_ms: number;
  readonly requests: number;
  readonly samples: number;
  readonly rate: number;
  readonly refused: number;
  readonly refused_requests: number;
  readonly error: {
    readonly at_ms: number;
    readonly code: string;
    readonly message: string;
  } | null;
}

export interface Producers {
  readonly count: number;
  readonly forgotten: number;
  readonly now_ms: number;
  readonly producers: readonly Producer[];
}

/** One that watches: an entry of `GET /v1/subscribers`. */
export interface Subscriber {
  readonly session: string;
  readonly transport: string;
  readonly address: string;
  readonly subject: string | null;
  readonly key: string;
  readonly agent: string;
  readonly view: { readonly select: readonly string[]; readonly max_hz: number | null };
  readonly seconds: number;
  readonly behind: number;
  readonly stalled: number | null;
  readonly reason: string | null;
  readonly frames: number;
}

export interface Subscribers {
  readonly count: number;
  readonly subscribers: readonly Subscriber[];
}

const FORMATS: Readonly<Record<string, string>> = {
  samples: 'HTTP API',
  publish: 'HTTP API, WebSocket',
  otlp: 'OpenTelemetry',
  remote_write: 'Prometheus remote write',
  influx: 'InfluxDB line protocol',
  prometheus_text: 'Prometheus text',
  pushgateway: 'Pushgateway',
  statsd: 'StatsD',
};
/** For so long an error is pointed at. */
const RECENT_MS = 5 * 60_000;
/** A producer that has been silent for longer is said to be. Most send at least once a minute. */
const SILENT_MS = 2 * 60_000;

export const formatName = (format: string): string => FORMATS[format] ?? format;

const numbers = formatOf('');
const rates = formatOf('', true);
export const count = (value: number): string => numbers.value(value);
export const rate = (value: number): string => rates.value(value);

/** What somebody is called: by the name of a key, the subject of a token, or the address. */
export const called = (key: string, subject: string): string => (key === '' ? subject : key);

export type Health = 'ok' | 'silent' | 'refused';

/** Whether a producer needs a look. */
export function healthOf(one: Producer, now: number): Health {
  if (one.error !== null && now - one.error.at_ms < RECENT_MS) {
    return 'refused';
  }
  return now - one.last_ms > SILENT_MS ? 'silent' : 'ok';
}

export const HEALTH: Readonly<Record<Health, string>> = {
  ok: 'Sends',
  silent: 'Silent',
  refused: 'Refused',
};

const RANK: Readonly<Record<Health, number>> = { refused: 0, silent: 1, ok: 2 };

/** Those that need a look come first; else they stay where they are, whoever sent last. */
export function inOrder(producers: Producers): readonly Producer[] {
  const { now_ms: now } = producers;
  return producers.producers.toSorted(
    (a, b) => RANK[healthOf(a, now)] - RANK[healthOf(b, now)] || a.first_ms - b.first_ms,
  );
}

export const ago = (ms: number): string => (ms < 1500 ? 'now' : `${formatAge(ms)} ago`);

/** How much of what one sent was refused; null where nothing was. */
export function refusedOf(one: Producer): string | null {
  const parts = [
    one.refused_requests > 0 && `${count(one.refused_requests)} of ${count(one.requests)} requests`,
    one.refused > 0 &&
      (one.refused === 1 ? 'a sample or line' : `${count(one.refused)} samples or lines`),
  ].filter(Boolean);
  return parts.length === 0 ? null : parts.join(', ');
}
