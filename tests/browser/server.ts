/** A real server as a child process, and what tests do with it. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const VENV = `${ROOT}/.venv/bin/python`;
export const PYTHON = process.env.PYTHON ?? (existsSync(VENV) ? VENV : 'python3');

/** A port for what keeps it over a restart, found as for the tests in Python: see `tests/ports.py`. */
export function freePort(): number {
  return Number(execFileSync(PYTHON, ['-m', 'tests.ports'], { cwd: ROOT, encoding: 'utf8' }));
}

/** What each server that runs has said. */
export const outputs: Map<ChildProcess, string> = new Map();

/** Those that run: none outlives its tests, whichever way these end. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) {
    child.kill('SIGKILL');
  }
});

async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (!running.has(child)) {
    return;
  }
  const ended = once(child, 'exit');
  child.kill(signal);
  const late = setTimeout(() => child.kill('SIGKILL'), 20_000);
  await ended;
  clearTimeout(late);
}

/** A sample as producers send it. */
export interface Sample {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number | string | boolean | null;
  readonly time?: number;
  readonly kind?: string;
  readonly unit?: string;
  readonly help?: string;
}

export class Server {
  readonly url: string;
  private readonly process: ChildProcess;

  private constructor(url: string, process: ChildProcess) {
    this.url = url;
    this.process = process;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** Start it and wait until it prints its URL. */
  static start(
    command: 'serve' | 'demo' = 'serve',
    port = 0,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Server> {
    const address = command === 'serve' ? ['--host', '127.0.0.1'] : [];
    const options = [...address, '--port', String(port || freePort())];
    return Server.run(['pushsvc', command, ...options], '', environment);
  }

  /** Run a module of Python, with its arguments, that prints its URL; what it serves lies below a path. */
  static async run(
    module: readonly string[],
    below = '',
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Server> {
    const child = spawn(PYTHON, ['-m', ...module], {
      cwd: ROOT,
      env: {
        ...process.env,
        // Not the settings of the person who runs the tests.
        PUSHSVC_DASHBOARDS_DIRECTORY: '',
        ...environment,
        PYTHONPATH: ROOT,
        PYTHONUNBUFFERED: '1',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(child);
    outputs.set(child, '');
    child.once('exit', () => running.delete(child));
    const url = await new Promise<string>((resolve, reject) => {
      const read = (chunk: Buffer): string => {
        const output = (outputs.get(child) ?? '') + chunk;
        outputs.set(child, output);
        return output;
      };
      child.stdout.on('data', (chunk: Buffer) => {
        const [found] = /http:\/\/[\d.]+:\d+/.exec(read(chunk)) ?? [];
        if (found !== undefined) {
          resolve(found);
        }
      });
      child.stderr.on('data', read);
      child.once('error', reject);
      child.once('exit', (code) => {
        reject(new Error(`the server ended with ${code}:\n${outputs.get(child)}`));
        outputs.delete(child);
      });
    });
    return new Server(url + below, child);
  }

  /** End it: by default in order, and in good time. */
  stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    return end(this.process, signal);
  }

  /** Have it hang, as a process does that the system has stopped; and go on. */
  hang(hangs: boolean): void {
    this.process.kill(hangs ? 'SIGSTOP' : 'SIGCONT');
  }

  /** End all that still run, also those whose test failed before it had them in hand. */
  static async stopAll(): Promise<void> {
    await Promise.all([...running].map((child) => end(child, 'SIGTERM')));
  }

  /** Save a dashboard that isn't there; the status of the answer. */
  async save(name: string, dashboard: unknown): Promise<number> {
    const { status } = await fetch(`${this.url}/v1/dashboards/${name}`, {
      method: 'PUT',
      headers: { 'Content-Type': 'application/json', 'If-None-Match': '*' },
      body: JSON.stringify(dashboard),
    });
    return status;
  }

  async publish(...samples: readonly Sample[]): Promise<void> {
    const response = await fetch(`${this.url}/v1/samples`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ samples }),
    });
    if (!response.ok) {
      throw new Error(`${response.status} ${await response.text()}`);
    }
  }
}
