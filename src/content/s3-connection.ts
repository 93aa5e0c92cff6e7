import { connect, isIP, type Socket, type TcpNetConnectOpts } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { S3Answer } from './s3-answer.ts';

const HEAD_BUFFER = 16 * 1024;

export interface S3Target {
  readonly tls: boolean;
  readonly host: string;
  readonly port: number;
  /** In milliseconds. */
  readonly connectTimeout: number;
  /** Silence while an answer is waited for, in milliseconds. */
  readonly idleTimeout: number;
}

/**
 * A connection on which objects are got, one after another. Node's own HTTP client makes a new buffer for each piece
 * that it reads, which for what only passes through costs ten times as much as reading into the same ones again.
 */
export class S3Connection {
  readonly #socket: Socket;
  readonly #headBuffer = Buffer.allocUnsafeSlow(HEAD_BUFFER);
  readonly #idle: (connection: S3Connection) => void;
  readonly #idleTimeout: number;
  #answer: S3Answer | undefined;
  #failure: Error | undefined;

  /** `idle` is told when an answer has come in whole, `closed`, once, when the connection is of no more use. */
  static async open(
    target: S3Target,
    listeners: { idle: (connection: S3Connection) => void; closed: (connection: S3Connection) => void },
  ): Promise<S3Connection> {
    const connection = new S3Connection(target, listeners);
    await connection.#connected(target);
    return connection;
  }

  private constructor(
    target: S3Target,
    listeners: { idle: (connection: S3Connection) => void; closed: (connection: S3Connection) => void },
  ) {
    this.#idle = listeners.idle;
    this.#idleTimeout = target.idleTimeout;
    this.#socket = this.#begin(target);
    this.#socket.setNoDelay(true);
    this.#socket.on('error', (error) => {
      this.#failure ??= error;
    });
    this.#socket.on('end', () => this.#socket.destroy());
    this.#socket.once('close', () => {
      this.#answer?.fail(this.#failure ?? new Error('the connection was closed'));
      listeners.closed(this);
    });
    this.#socket.setTimeout(target.idleTimeout);
    this.#socket.on('timeout', () => {
      // Who reads slowly may.
      if (!this.#answer?.paused) this.#socket.destroy(new Error('the object store is silent'));
    });
  }

  get usable(): boolean {
    return !this.#socket.destroyed && this.#socket.writable;
  }

  /**
   * Sends the text of a request, and its body, whose bytes are the connection's until the answer begins. The answer has to
   * be read to its end, or destroyed.
   */
  send(request: string, body: readonly Uint8Array[] = []): S3Answer {
    this.#socket.ref();
    const answer = new S3Answer({
      headBuffer: this.#headBuffer,
      resume: () => this.#resume(),
      ended: (reusable) => this.#ended(reusable),
    });
    this.#answer = answer;
    if (this.usable) this.#write(request, body);
    else answer.fail(this.#failure ?? new Error('the connection was closed'));
    return answer;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #begin(target: S3Target): Socket {
    const options = {
      host: target.host,
      port: target.port,
      onread: {
        buffer: () => this.#answer?.target ?? this.#headBuffer,
        callback: (size: number) => this.#received(size),
      },
    } satisfies TcpNetConnectOpts;
    if (!target.tls) return connect(options);
    const servername = isIP(target.host) === 0 ? { servername: target.host } : {};
    return connectTls({ ...options, ...servername, ALPNProtocols: ['http/1.1'] });
  }

  #connected({ tls, connectTimeout }: S3Target): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#socket.destroy(new Error('the object store takes no connection'));
      }, connectTimeout);
      this.#socket.once('close', () => {
        clearTimeout(timer);
        reject(this.#failure ?? new Error('the connection was closed'));
      });
      this.#socket.once(tls ? 'secureConnect' : 'connect', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #write(request: string, body: readonly Uint8Array[]): void {
    this.#socket.cork();
    this.#socket.write(request, 'latin1');
    for (const bytes of body) this.#socket.write(bytes);
    this.#socket.uncork();
  }

  #resume(): void {
    // Silence counts from now on.
    this.#socket.setTimeout(this.#idleTimeout);
    this.#socket.resume();
  }

  #received(size: number): boolean {
    // Nobody asked for anything.
    if (!this.#answer) this.#socket.destroy();
    return this.#answer?.received(size) ?? false;
  }

  #ended(reusable: boolean): void {
    this.#answer = undefined;
    if (!reusable || !this.usable) return void this.#socket.destroy();
    this.#socket.unref();
    this.#idle(this);
  }
}
