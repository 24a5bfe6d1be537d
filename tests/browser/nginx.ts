/** A real nginx on loopback, which ends with the tests. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, PYTHON, ROOT } from './server.ts';

interface Proxy {
  readonly name: string;
  readonly settings: readonly { readonly set: string }[];
}

/** All that the path doctor says is to be set, as it prints it. */
const ADVISED = (
  JSON.parse(readFileSync(join(ROOT, 'pushsvc/doctor/proxies.json'), 'utf8')) as Proxy[]
)
  .find(({ name }) => name === 'nginx')!
  .settings.map((setting) => setting.set)
  .join('\n');

export class Nginx {
  readonly url: string;
  private readonly process: ChildProcess;
  private readonly folder: string;

  private constructor(url: string, process: ChildProcess, folder: string) {
    this.url = url;
    this.process = process;
    this.folder = folder;
  }

  /** `locations` are paths, and what each is passed on to, as `proxy_pass` has it. */
  static async start(locations: Readonly<Record<string, string>>): Promise<Nginx> {
    const folder = mkdtempSync(join(tmpdir(), 'pushsvc-nginx-'));
    const port = freePort();
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((kind) => `${kind}_temp_path ${folder}/${kind};`)
      .join('\n');
    const served = Object.entries(locations)
      .map(([path, target]) => `location ${path} { proxy_pass ${target};\n${ADVISED} }`)
      .join('\n');
    const file = join(folder, 'nginx.conf');
    writeFileSync(
      file,
      `daemon off; user root; worker_processes 1; pid ${folder}/pid; error_log stderr;
       events { worker_connections 256; }
       http { access_log off; ${temporary} server { listen 127.0.0.1:${port}; ${served} } }`,
    );
    const child = spawn(program(), ['-c', file, '-e', 'stderr'], { stdio: 'ignore' });
    const nginx = new Nginx(`http://127.0.0.1:${port}`, child, folder);
    process.once('exit', () => child.kill('SIGKILL'));
    while (!(await accepts(port))) {
      if (child.exitCode !== null) {
        throw new Error(`nginx ended with ${child.exitCode}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return nginx;
  }

  async stop(): Promise<void> {
    const ended = once(this.process, 'exit');
    this.process.kill('SIGTERM');
    await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** As the tests in Python find it, or have it installed. */
function program(): string {
  const find = 'from tests.debian import program; print(program("nginx", "nginx-light"))';
  return execFileSync(PYTHON, ['-c', find], { cwd: ROOT, encoding: 'utf8' }).trim();
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
