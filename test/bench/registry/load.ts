import { connect, type Socket } from 'node:net';

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

const READ_SIZE = 64 * 1024;

/**
 * Keeps `connections` busy for some seconds, each with one request after another, and says how many a second were
 * answered as expected. On bare sockets: the load must cost less than what it measures.
 */
export async function requests(
  address: string,
  options: { connections: number; seconds: number; expected: number },
  next: () => Request,
): Promise<number> {
  const started = performance.now();
  const end = started + options.seconds * 1000;
  let count = 0;
  await Promise.all(
    Array.from({ length: options.connections }, async () => {
      using connection = await Connection.to(address);
      while (performance.now() < end) {
        const status = await connection.send(next());
        if (status !== options.expected) throw new Error(`${address} answered ${status}`);
        count++;
      }
    }),
  );
  return count / ((performance.now() - started) / 1000);
}

/** One keep-alive connection; answers need a Content-Length, and their bodies are counted, not kept. */
export class Connection implements Disposable {
  readonly #socket: Socket;
  readonly #host: string;
  #answered: PromiseWithResolvers<number> | undefined;
  #head = '';
  #bodyLeft = 0;
  #status = 0;
  #location = '';

  static async to(address: string): Promise<Connection> {
    const [host = '', port] = address.split(':');
    let connection: Connection | undefined;
    const onread = {
      buffer: Buffer.allocUnsafeSlow(READ_SIZE),
      callback(length: number, buffer: Uint8Array) {
        // Nothing comes before anything was asked for.
        connection!.#receive(buffer as Buffer, length);
        return true;
      },
    };
    const socket = connect({ host, port: Number(port), noDelay: true, onread });
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    connection = new Connection(socket, address);
    return connection;
  }

  constructor(socket: Socket, host: string) {
    this.#socket = socket;
    this.#host = host;
    socket.on('error', (error) => this.#answered?.reject(error));
    socket.on('close', () => this.#answered?.reject(new Error('the registry closed the connection')));
  }

  /** The last answer's Location. */
  get location(): string {
    return this.#location;
  }

  /** Sends a request and resolves to the answer's status, once its body is there. */
  send({ method, path, headers = {}, body }: Request): Promise<number> {
    const answered = this.#await();
    const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const length = body || method !== 'GET' ? `Content-Length: ${body?.length ?? 0}\r\n` : '';
    this.#socket.cork();
    this.#socket.write(
      `${method} ${path} HTTP/1.1\r\nHost: ${this.#host}\r\n${fields.join('')}${length}\r\n`,
    );
    if (body) this.#socket.write(body);
    this.#socket.uncork();
    return answered;
  }

  /** Sends a body of `length` bytes that repeats `chunk`. */
  async stream(method: string, path: string, chunk: Uint8Array, length: number): Promise<number> {
    const answered = this.#await();
    this.#socket.write(
      `${method} ${path} HTTP/1.1\r\nHost: ${this.#host}\r\nContent-Type: application/octet-stream\r\nContent-Length: ${length}\r\n\r\n`,
    );
    for (let sent = 0; sent < length; sent += chunk.length) {
      const flowing = this.#socket.write(chunk.subarray(0, Math.min(chunk.length, length - sent)));
      if (!flowing) await new Promise((resolve) => this.#socket.once('drain', resolve));
    }
    return await answered;
  }

  [Symbol.dispose](): void {
    this.#answered = undefined;
    this.#socket.destroy();
  }

  #await(): Promise<number> {
    this.#answered = Promise.withResolvers<number>();
    return this.#answered.promise;
  }

  /** The first `length` bytes of what is read into again and again: memory of its own for each would cost more. */
  #receive(data: Buffer, length: number): void {
    if (this.#bodyLeft > 0) {
      this.#bodyLeft -= length;
    } else {
      this.#head += data.toString('latin1', 0, length);
      const end = this.#head.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = this.#head.slice(0, end);
      this.#status = Number(head.slice(9, 12));
      this.#location = /^location: *(.*)$/im.exec(head)?.[1]?.trim() ?? '';
      this.#bodyLeft =
        Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0) - (this.#head.length - end - 4);
      this.#head = '';
    }
    if (this.#bodyLeft === 0) this.#answered?.resolve(this.#status);
  }
}
