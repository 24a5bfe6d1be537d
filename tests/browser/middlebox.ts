/** What stands between browsers and servers in the world, on loopback: a box that interferes. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';

export interface Interference {
  /** Answers 403 to every upgrade. */
  websocket?: boolean;
  /** Takes every upgrade, and passes nothing on: it opens and never delivers. */
  mute?: boolean;
  /** Keeps event streams to itself: the client never sees a byte of them. */
  eventStream?: boolean;
  /** Sends an answer on when it is whole. */
  holds?: boolean;
  /** Sent with every answer. */
  policy?: string;
  /** How it names itself in answers. */
  via?: string;
  /** Cuts what is quiet for so long. */
  idleMs?: number;
}

export class Middlebox {
  /** May be changed at any time; it concerns what comes then. */
  readonly interference: Interference;
  private readonly target: URL;
  private readonly server: http.Server;
  private readonly sockets = new Set<Socket>();

  private constructor(target: URL, interference: Interference) {
    this.target = target;
    this.interference = interference;
    this.server = http.createServer((request, response) => this.pass(request, response));
    this.server.on('upgrade', (request, socket: Socket, head) =>
      this.upgrade(request, socket, head),
    );
    this.server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => this.sockets.delete(socket));
    });
  }

  static async start(target: string, interference: Interference = {}): Promise<Middlebox> {
    const middlebox = new Middlebox(new URL(target), interference);
    middlebox.server.listen(0, '127.0.0.1');
    await once(middlebox.server, 'listening');
    return middlebox;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Cut every connection, as a network does. */
  cut(): void {
    for (const socket of this.sockets) {
      socket.destroy();
    }
  }

  stop(): void {
    this.server.close();
    this.cut();
  }

  private pass(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { hostname, port } = this.target;
    request.socket.setTimeout(this.interference.idleMs ?? 0);
    const onward = http.request(
      { hostname, port, path: request.url, method: request.method, headers: request.headers },
      (answer) => {
        if (
          this.interference.eventStream &&
          answer.headers['content-type']?.startsWith('text/event-stream')
        ) {
          answer.resume();
          return;
        }
        const { policy, via } = this.interference;
        response.writeHead(answer.statusCode!, {
          ...answer.headers,
          ...(policy === undefined ? {} : { 'content-security-policy': policy }),
          ...(via === undefined ? {} : { via }),
        });
        if (this.interference.holds) {
          const held: Buffer[] = [];
          answer.on('data', (part: Buffer) => held.push(part));
          answer.on('end', () => response.end(Buffer.concat(held)));
        } else {
          answer.pipe(response);
        }
        answer.on('error', () => response.destroy());
      },
    );
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  }

  private upgrade(request: http.IncomingMessage, socket: Socket, head: Buffer): void {
    if (this.interference.websocket) {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      return;
    }
    if (this.interference.mute) {
      const accept = createHash('sha1')
        .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest('base64');
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
          `Sec-WebSocket-Protocol: pushsvc.v1\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
      return;
    }
    socket.setTimeout(this.interference.idleMs ?? 0, () => socket.destroy());
    const onward = net.connect(Number(this.target.port), this.target.hostname, () => {
      const headers = request.rawHeaders
        .map((value, index) => (index % 2 === 0 ? `${value}: ` : `${value}\r\n`))
        .join('');
      onward.write(`${request.method} ${request.url} HTTP/1.1\r\n${headers}\r\n`);
      onward.write(head);
      onward.pipe(socket);
      socket.pipe(onward);
    });
    onward.on('error', () => socket.destroy());
    onward.on('close', () => socket.destroy());
    socket.on('close', () => onward.destroy());
  }
}
