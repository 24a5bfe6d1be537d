/** What stands before several servers. */

import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';

/** A balancer that leads each request to the next server. */
export class RoundRobin {
  /** How many asked for a stream. */
  streams = 0;
  private requests = 0;
  private readonly targets: readonly URL[];
  private readonly refused: RegExp | null;
  private readonly server: http.Server;

  /** `refused` are the headers of requests that don't get through. */
  constructor(targets: readonly string[], refused: RegExp | null = null) {
    this.targets = targets.map((url) => new URL(url));
    this.refused = refused;
    this.server = http.createServer((request, response) => this.pass(request, response));
    this.server.on('upgrade', (request, socket: net.Socket, head) => {
      socket.on('error', () => {});
      const target = this.next(request);
      if (target === null) {
        socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
        return;
      }
      const onward = net.connect(Number(target.port), target.hostname);
      onward.on('error', () => socket.destroy());
      const headers = request.rawHeaders.map((text, at) => text + (at % 2 === 0 ? ': ' : '\r\n'));
      onward.write(`GET ${request.url} HTTP/1.1\r\n${headers.join('')}\r\n`);
      onward.write(head);
      socket.pipe(onward).pipe(socket);
    });
  }

  async start(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private next(request: http.IncomingMessage): URL | null {
    const { accept = '', upgrade = '' } = request.headers;
    this.streams += /\/v1\/stream/.test(request.url!) ? 1 : 0;
    if (this.refused?.test(`${upgrade} ${accept}`)) {
      return null;
    }
    this.requests += 1;
    return this.targets[this.requests % this.targets.length]!;
  }

  private pass(request: http.IncomingMessage, response: http.ServerResponse): void {
    const target = this.next(request);
    if (target === null) {
      response.writeHead(406).end();
      return;
    }
    const { hostname, port } = target;
    const { url: path, method, headers } = request;
    const onward = http.request(
      { hostname, port, path, method, headers, agent: false },
      (answer) => {
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response);
      },
    );
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  }
}
