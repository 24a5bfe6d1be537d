import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { measure } from './probes.ts';

type Level = 'problem' | 'note' | 'unknown' | 'ok';

/** The service's report on the measurements: `POST /v1/doctor/report`. */
interface Report {
  readonly healthy: boolean;
  readonly seconds: number;
  readonly idle: number;
  readonly findings: readonly {
    readonly code: string;
    readonly level: Level;
    readonly text: string;
  }[];
  readonly seen: readonly string[];
  readonly advice: readonly {
    readonly name: string;
    readonly settings: readonly {
      readonly cure: string;
      readonly default: string;
      readonly set: string;
      readonly note: string;
      readonly source: string;
    }[];
  }[];
}

const LEVELS: readonly Level[] = ['problem', 'note', 'unknown', 'ok'];
/** Drawn, because not every font has these signs. */
const MARKS: Readonly<Record<Level, readonly [path: string, word: string]>> = {
  problem: ['M4 4l8 8M12 4l-8 8', 'Problem'],
  note: ['M8 3v6M8 12.4v.2', 'Note'],
  unknown: ['M5.5 5.5a2.5 2.5 0 1 1 3.6 2.3c-.8.4-1.1.8-1.1 1.7M8 12.4v.2', 'Could not be told'],
  ok: ['M3 8.5l3.5 3.5L13 4.5', 'Fine'],
};
/** The longer one is longer than a long poll waits. */
const SPELLS = [5, 30, 60, 120, 300] as const;

/** The path doctor: tells what lies between this browser and the service. */
export function Doctor({ origin }: { origin: URL }) {
  const idle = useSignal<number>(30);
  const progress = useSignal('');
  const failure = useSignal('');
  const report = useSignal<Report | null>(null);
  const running = useRef<AbortController | null>(null);

  async function examine(): Promise<void> {
    const abort = new AbortController();
    running.current = abort;
    report.value = null;
    failure.value = '';
    try {
      const measured = await Promise.race([
        measure(origin, idle.value, abort.signal, (text) => {
          progress.value = abort.signal.aborted ? '' : text;
        }),
        stopped(abort.signal),
      ]);
      const answer = await fetch(new URL('v1/doctor/report', origin), {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(measured),
        signal: abort.signal,
      });
      const body = (await answer.json()) as Report & { detail?: string };
      if (!answer.ok) {
        throw new Error(body.detail ?? `the service answered ${answer.status}`);
      }
      report.value = body;
    } catch (error) {
      failure.value = abort.signal.aborted ? '' : (error as Error).message;
    } finally {
      progress.value = '';
      running.current = null;
    }
  }

  const busy = progress.value !== '';
  return (
    <main class="doctor">
      <h1>
        <a href="./">pushsvc</a> path doctor
      </h1>
      <p>
        Finds what cuts, buffers or refuses streams between this browser and the service: proxies,
        load balancers, firewalls.
      </p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (busy) {
            running.current?.abort();
          } else {
            void examine();
          }
        }}
      >
        <label>
          Look for cuts after up to{' '}
          <select
            disabled={busy}
            value={idle.value}
            onChange={(event) => (idle.value = Number(event.currentTarget.value))}
          >
            {SPELLS.map((spell) => (
              <option value={spell} key={spell}>
                {spell} s of quiet
              </option>
            ))}
          </select>
        </label>
        <button type="submit">{busy ? 'Stop' : 'Examine'}</button>
        <p role="status">{progress.value}</p>
      </form>
      {failure.value !== '' && <p role="alert">The path could not be examined: {failure.value}.</p>}
      {report.value !== null && <Findings report={report.value} />}
    </main>
  );
}

/** Rejects when it is stopped; a connection that is being watched for silence would end later. */
function stopped(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });
}

function Findings({ report }: { report: Report }) {
  const findings = report.findings.toSorted(
    (a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level),
  );
  return (
    <section aria-labelledby="found">
      <div role="status">
        <h2 id="found">{report.healthy ? 'This path is healthy' : 'This path is not healthy'}</h2>
      </div>
      <ul>
        {findings.map(({ code, level, text }) => {
          const [path, word] = MARKS[level];
          return (
            <li class={level} data-code={code} key={code}>
              <svg class="mark" viewBox="0 0 16 16" aria-hidden="true">
                <path d={path} />
              </svg>
              <span>
                <span class="unseen">{word}: </span>
                {text}
              </span>
            </li>
          );
        })}
      </ul>
      <p>
        {report.seen.length > 0
          ? `On the path, by its headers: ${report.seen.join(', ')}.`
          : 'No proxy names itself in headers. That doesn’t mean that there is none.'}{' '}
        Cuts after more than {report.idle} s were not looked for. A browser doesn’t show everything:
        pushsvc doctor on the command line sees more.
      </p>
      {report.advice.length > 0 && <h2>Settings that may help</h2>}
      {report.advice.map(({ name, settings }) => (
        <section key={name}>
          <h3>{name}</h3>
          <dl>
            {settings.map((setting) => (
              <div key={setting.cure}>
                <dt>
                  {setting.cure}: {setting.default}
                </dt>
                <dd>
                  <code>{setting.set}</code> {setting.note && `(${setting.note}) `}
                  <a href={setting.source}>source</a>
                </dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
    </section>
  );
}
