/** A real Firefox, by WebDriver BiDi: `PUSHSVC_FIREFOX`, or one that the system has. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Reply {
  readonly id?: number;
  readonly type: string;
  readonly result?: Record<string, unknown>;
  readonly message?: string;
}

/** What BiDi calls a value: of those that tests ask for, primitives are enough. */
interface Evaluated {
  readonly type: 'success' | 'exception';
  readonly result?: { readonly value?: unknown };
  readonly exceptionDetails?: { readonly text: string };
}

function find(): string | null {
  if (process.env.PUSHSVC_FIREFOX) {
    return process.env.PUSHSVC_FIREFOX;
  }
  for (const name of ['firefox-esr', 'firefox']) {
    const { stdout } = spawnSync('which', [name], { encoding: 'utf8' });
    if (stdout?.trim()) {
      return stdout.trim();
    }
  }
  return null;
}

export class Firefox {
  private readonly process: ChildProcess;
  private readonly socket: WebSocket;
  private readonly scratch: string;
  private readonly waiting = new Map<number, (reply: Reply) => void>();
  private count = 0;

  private constructor(process: ChildProcess, socket: WebSocket, scratch: string) {
    this.process = process;
    this.socket = socket;
    this.scratch = scratch;
    socket.onmessage = ({ data }) => {
      const reply = JSON.parse(String(data)) as Reply;
      this.waiting.get(reply.id ?? -1)?.(reply);
      this.waiting.delete(reply.id ?? -1);
    };
  }

  /** Start one with a profile of its own; null where there is none. */
  static async launch(): Promise<Firefox | null> {
    const program = find();
    if (program === null) {
      return null;
    }
    const scratch = mkdtempSync(join(tmpdir(), 'pushsvc-firefox-'));
    const child = spawn(
      program,
      ['--headless', '--no-remote', '--profile', scratch, '--remote-debugging-port', '0'],
      { env: { ...process.env, HOME: scratch, MOZ_DISABLE_CONTENT_SANDBOX: '1' }, stdio: 'pipe' },
    );
    process.once('exit', () => child.kill('SIGKILL'));
    const url = await new Promise<string>((resolve, reject) => {
      let output = '';
      child.stderr.on('data', (chunk: Buffer) => {
        output += chunk;
        const [, found] = /WebDriver BiDi listening on (ws:\S+)/.exec(output) ?? [];
        if (found !== undefined) {
          resolve(found);
        }
      });
      child.once('exit', (code) => reject(new Error(`Firefox ended with ${code}:\n${output}`)));
    });
    const socket = new WebSocket(`${url}/session`);
    await once(socket as unknown as NodeJS.EventEmitter & EventTarget, 'open');
    const firefox = new Firefox(child, socket, scratch);
    await firefox.ask('session.new', { capabilities: {} });
    return firefox;
  }

  /** A tab that has loaded a page. */
  async open(
    url: string,
  ): Promise<{ evaluate<T>(script: string): Promise<T>; close(): Promise<unknown> }> {
    const { context } = await this.ask('browsingContext.create', { type: 'tab' });
    await this.ask('browsingContext.navigate', { context, url, wait: 'complete' });
    return {
      evaluate: async <T>(expression: string) => {
        const asked = { expression, target: { context }, awaitPromise: true };
        const answer = (await this.ask('script.evaluate', asked)) as unknown as Evaluated;
        if (answer.type === 'exception') {
          throw new Error(answer.exceptionDetails?.text);
        }
        return answer.result?.value as T;
      },
      close: () => this.ask('browsingContext.close', { context }),
    };
  }

  async close(): Promise<void> {
    const ended = once(this.process, 'exit');
    this.socket.close();
    this.process.kill('SIGKILL');
    await ended;
    rmSync(this.scratch, { recursive: true, force: true, maxRetries: 5 });
  }

  private async ask(
    method: string,
    params: Readonly<Record<string, unknown>>,
  ): Promise<Record<string, unknown>> {
    this.count += 1;
    const id = this.count;
    const answered = new Promise<Reply>((resolve) => this.waiting.set(id, resolve));
    this.socket.send(JSON.stringify({ id, method, params }));
    const reply = await answered;
    if (reply.type !== 'success' || reply.result === undefined) {
      throw new Error(`${method}: ${reply.message}`);
    }
    return reply.result;
  }
}
