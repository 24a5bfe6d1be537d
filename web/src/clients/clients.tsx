import type { ComponentChildren } from 'preact';
import { useId, useState } from 'preact/hooks';
import { formatAge, formatMoment } from '../format/time.ts';
import { type Answer, useAnswers } from './looking.ts';
import {
  ago,
  called,
  count,
  formatName,
  HEALTH,
  healthOf,
  inOrder,
  type Producer,
  type Producers,
  rate,
  refusedOf,
  type Subscriber,
  type Subscribers,
} from './model.ts';

const SHOWN = 100;
/** As many as the service tells of. */
const MOST = 1000;

/** The page for operators: who sends, and who watches. */
export function Clients({ origin }: { origin: URL }) {
  return (
    <main class="clients">
      <h1>
        <a href="./">pushsvc</a> clients
      </h1>
      <Sending origin={origin} />
      <Watching origin={origin} />
    </main>
  );
}

/** How many are asked for, and a button for more. */
function useMore(): [shown: number, more: (count: number) => ComponentChildren] {
  const [shown, show] = useState(SHOWN);
  return [
    shown,
    (all) =>
      all > shown && (
        <p>
          {count(all - shown)} more are not shown.{' '}
          {shown < MOST && (
            <button type="button" onClick={() => show(MOST)}>
              Show up to {count(MOST)}
            </button>
          )}
        </p>
      ),
  ];
}

const asking = (path: string, limit: number, origin: URL) =>
  new URL(`${path}?limit=${limit}`, origin);

function Section<T>({
  title,
  answer,
  children,
}: {
  title: string;
  answer: Answer<T>;
  children: (told: T) => ComponentChildren;
}) {
  const id = useId();
  const told = answer.state === 'asking' ? null : answer.told;
  return (
    <section aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {answer.state === 'failed' && (
        <p role="alert">
          The service doesn’t tell: {answer.why}. {told !== null && 'This is what it said before.'}
        </p>
      )}
      {answer.state === 'asking' && <p>Asking the service …</p>}
      {told !== null && children(told)}
    </section>
  );
}

/** A table that scrolls by itself where it is wider than the page. */
function Table({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable
    <section class="table" aria-label={`Table: ${label}`} tabIndex={0}>
      <table>{children}</table>
    </section>
  );
}

/** Those of columns of numbers stand over them. */
const heads = (names: readonly string[], numbers: readonly string[]) => (
  <thead>
    <tr>
      {names.map((name) => (
        <th scope="col" key={name} class={numbers.includes(name) ? 'number' : undefined}>
          {name}
        </th>
      ))}
    </tr>
  </thead>
);

function Sending({ origin }: { origin: URL }) {
  const [shown, more] = useMore();
  const answer = useAnswers<Producers>(asking('v1/producers', shown, origin)).value;
  return (
    <Section title="Who sends" answer={answer}>
      {(told) =>
        told.producers.length === 0 ? (
          <p>
            Nobody has sent anything since this service began. <a href="./">The dashboard page</a>{' '}
            says how to.
          </p>
        ) : (
          <>
            <Table label="Who sends">
              {heads(
                ['State', 'Producer', 'Format', 'Last', 'Rate', 'Samples', 'Since'],
                ['Last', 'Rate', 'Samples'],
              )}
              {inOrder(told).map((one) => (
                <Sender
                  one={one}
                  now={told.now_ms}
                  key={`${one.format} ${one.kind} ${one.producer} ${one.agent}`}
                />
              ))}
            </Table>
            {more(told.count)}
            {told.forgotten > 0 && (
              <p>
                {count(told.forgotten)} that were silent for the longest were forgotten: there were
                too many.
              </p>
            )}
          </>
        )
      }
    </Section>
  );
}

function Sender({ one, now }: { one: Producer; now: number }) {
  const health = healthOf(one, now);
  const refused = refusedOf(one);
  const name = called(one.key, one.producer);
  return (
    <tbody class={health}>
      <tr>
        <td>
          <span class="health">{HEALTH[health]}</span>
        </td>
        <th scope="row">
          {name}
          <small>
            {[one.agent, one.address !== name && one.address].filter(Boolean).join(' · ')}
          </small>
        </th>
        <td>{formatName(one.format)}</td>
        <td class="number">{ago(now - one.last_ms)}</td>
        <td class="number">{rate(one.rate)}</td>
        <td class="number">{count(one.samples)}</td>
        <td class="moment">{formatMoment(one.first_ms)}</td>
      </tr>
      {refused !== null && (
        <tr>
          <td />
          <td colSpan={6} class="error">
            Refused: {refused}.{' '}
            {one.error !== null && (
              <>
                Last, {ago(now - one.error.at_ms)}: <q>{one.error.message}</q>{' '}
                <code>{one.error.code}</code>
              </>
            )}
          </td>
        </tr>
      )}
    </tbody>
  );
}

function Watching({ origin }: { origin: URL }) {
  const [shown, more] = useMore();
  const answer = useAnswers<Subscribers>(asking('v1/subscribers', shown, origin)).value;
  return (
    <Section title="Who watches" answer={answer}>
      {(told) =>
        told.count === 0 ? (
          <p>Nobody watches.</p>
        ) : (
          <>
            <p>
              {told.count === 1
                ? 'One connection.'
                : `${count(told.count)} connections, those that don’t keep up first.`}
            </p>
            <Table label="Who watches">
              {heads(
                ['State', 'Client', 'By', 'Watches', 'For', 'Behind', 'Frames'],
                ['For', 'Behind', 'Frames'],
              )}
              <tbody>
                {told.subscribers.map((one) => (
                  <Watcher one={one} key={one.session} />
                ))}
              </tbody>
            </Table>
            {more(told.count)}
          </>
        )
      }
    </Section>
  );
}

function Watcher({ one }: { one: Subscriber }) {
  const name = one.subject === null ? one.address : called(one.key, one.subject);
  const stalled = one.stalled === null ? '' : ` for ${formatAge(one.stalled * 1000)}`;
  return (
    <tr class={one.reason === null ? 'ok' : 'refused'}>
      <td>
        <span class="health">{one.reason === null ? 'Keeps up' : `${one.reason}${stalled}`}</span>
      </td>
      <th scope="row">
        {name}
        <small>
          {[one.agent, name !== one.address && one.address].filter(Boolean).join(' · ')}
        </small>
      </th>
      <td>{one.transport}</td>
      <td class="selectors">
        <code>{one.view.select.join(', ')}</code>
      </td>
      <td class="number">{formatAge(one.seconds * 1000)}</td>
      <td class="number">{one.behind === 0 ? '' : `${count(one.behind)} batches`}</td>
      <td class="number">{count(one.frames)}</td>
    </tr>
  );
}
