import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** A request that passed through, in S3's words. */
export interface S3Request {
  readonly operation: string;
  readonly headers: IncomingHttpHeaders;
  /** Of the body that came in. */
  readonly bytes: number;
}

/** What happens to a request: an answer instead of the server's, silence, or an end in the middle. */
export type Fault =
  | { readonly kind: 'status'; readonly status: number; readonly code: string }
  | { readonly kind: 'slow'; readonly milliseconds: number }
  /** The request is carried out, the answer does not arrive. */
  | { readonly kind: 'lost-answer' }
  /** The connection is cut after so many bytes of the request's body. */
  | { readonly kind: 'cut-request'; readonly after: number }
  /** The connection is cut after so many bytes of the answer's body. */
  | { readonly kind: 'cut-answer'; readonly after: number };

/** Stands before an S3 server, counts what passes and breaks what it is told to break. */
export class S3Proxy implements AsyncDisposable {
  readonly requests: S3Request[] = [];
  readonly #target: URL;
  #server: Server | undefined;
  #port = 0;
  #fault: (operation: string) => Fault | undefined = () => undefined;

  static async start(target: string): Promise<S3Proxy> {
    const proxy = new S3Proxy(target);
    await proxy.resume();
    return proxy;
  }

  private constructor(target: string) {
    this.#target = new URL(target);
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** How many requests of each operation came since the last call. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { operation } of this.requests.splice(0)) counts[operation] = (counts[operation] ?? 0) + 1;
    return counts;
  }

  /** Breaks requests, as long as the function says how. */
  breakBy(fault: (operation: string) => Fault | undefined): void {
    this.#fault = fault;
  }

  /** Breaks the next `times` requests of an operation. */
  breakNext(operation: string, fault: Fault, times = 1): void {
    let left = times;
    this.#fault = (name) => (name === operation && left-- > 0 ? fault : undefined);
  }

  heal(): void {
    this.#fault = () => undefined;
  }

  /** Connections are refused, and those that are there are cut, until `resume`. */
  async refuse(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async resume(): Promise<void> {
    const server = createServer((incoming, answer) => {
      this.#pass(incoming, answer).catch(() => answer.destroy());
    });
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.refuse();
  }

  async #pass(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    incoming.on('error', () => {});
    answer.on('error', () => {});
    const operation = operationOf(incoming);
    const fault = this.#fault(operation);
    if (fault?.kind === 'slow') await sleep(fault.milliseconds);
    const body: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of incoming) {
      body.push(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      if (fault?.kind === 'cut-request' && bytes > fault.after) return void incoming.socket.destroy();
    }
    this.requests.push({ operation, headers: incoming.headers, bytes });
    if (fault?.kind === 'status') return void refuse(answer, fault.status, fault.code);
    await this.#forward(incoming, answer, body, fault);
  }

  /** Everything goes on as it came, the Host header too: the signature covers it. */
  async #forward(
    incoming: IncomingMessage,
    answer: ServerResponse,
    body: readonly Buffer[],
    fault: Fault | undefined,
  ): Promise<void> {
    const { hostname, port } = this.#target;
    const { method, url, headers } = incoming;
    const sent = request({ hostname, port, method, path: url, headers, agent: false });
    sent.on('error', () => answer.destroy());
    answer.once('close', () => sent.destroy());
    sent.end(Buffer.concat(body));
    const [response] = await new Promise<[IncomingMessage]>((resolve, reject) => {
      sent.once('response', (received: IncomingMessage) => resolve([received]));
      sent.once('error', reject);
    });
    if (fault?.kind === 'lost-answer') {
      for await (const _ of response);
      answer.destroy();
      return;
    }
    answer.writeHead(response.statusCode!, response.headers);
    await pipeline(response, upTo(fault?.kind === 'cut-answer' ? fault.after : Infinity), answer);
  }
}

/** Passes so many bytes on and then fails. */
function upTo(limit: number) {
  return async function* (chunks: AsyncIterable<Buffer>) {
    let passed = 0;
    for await (const chunk of chunks) {
      passed += chunk.length;
      if (passed > limit) {
        yield chunk.subarray(0, chunk.length - (passed - limit));
        // What was written has to leave first.
        await sleep(20);
        throw new Error('cut');
      }
      yield chunk;
    }
  };
}

function refuse(answer: ServerResponse, status: number, code: string): void {
  answer.writeHead(status, { 'Content-Type': 'application/xml' });
  answer.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>injected</Message></Error>`);
}

function operationOf({ method, url, headers }: IncomingMessage): string {
  const { searchParams: query, pathname } = new URL(url!, 'http://s3');
  const key = pathname.split('/').length > 2 && !pathname.endsWith('/');
  const copy = 'x-amz-copy-source' in headers;
  if (query.has('uploads')) return method === 'POST' ? 'CreateMultipartUpload' : 'ListMultipartUploads';
  if (query.has('uploadId')) {
    if (method === 'PUT') return copy ? 'UploadPartCopy' : 'UploadPart';
    const operations: Record<string, string> = { POST: 'CompleteMultipartUpload', GET: 'ListParts' };
    return operations[method!] ?? 'AbortMultipartUpload';
  }
  if (query.has('delete')) return 'DeleteObjects';
  if (!key) return method === 'HEAD' ? 'HeadBucket' : 'ListObjects';
  const operations: Record<string, string> = { GET: 'GetObject', HEAD: 'HeadObject', DELETE: 'DeleteObject' };
  return operations[method!] ?? (copy ? 'CopyObject' : 'PutObject');
}
