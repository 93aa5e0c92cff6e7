import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type Duplex, pipeline } from 'node:stream';
import { pipeline as piped } from 'node:stream/promises';
import { messageOf, unavailable } from '#errors/errors.ts';
import type { Upstream, WorkerAgents } from './worker-agents.ts';

/** Headers that are about one connection (RFC 9110, 7.6.1). */
const OF_CONNECTION = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Of a refusal, in chunks of what came at once. */
const MAX_REFUSAL = 64;

/** So long a client may take for the last of a connection that its worker has closed, in milliseconds. */
const LINGER = 60_000;

/** What the worker is asked in place of what the client asked. */
export interface Changes {
  /** Path and query. */
  readonly target?: string | undefined;
  /** The client's own was read then. */
  readonly body?: Uint8Array | undefined;
  /** Added, or in place of the client's. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** What has to be done before the client hears that the answer is over. */
  readonly beforeEnd?: (() => Promise<void>) | undefined;
}

/**
 * Passes requests on to workers, and the answers back: byte by byte, and no faster than the other side takes them. A
 * client that leaves ends the worker's request; a worker that dies in the middle of an answer ends the connection.
 */
export class Forwarder {
  readonly #agents: WorkerAgents;

  constructor(agents: WorkerAgents) {
    this.#agents = agents;
  }

  /** Settles when the answer is over. Throws `unavailable` when there is none, and then nothing was sent. */
  async forward(
    req: IncomingMessage,
    res: ServerResponse,
    to: Upstream,
    changes: Changes = {},
  ): Promise<void> {
    const { promise: answered, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const upstream = request({
      agent: this.#agents.of(to),
      method: req.method,
      path: changes.target ?? req.url,
      headers: headersOf(req, changes, to),
      setDefaultHeaders: false,
    });
    const left = () => upstream.destroy();
    res.once('close', left);
    upstream.once('response', resolve);
    upstream.on('error', (cause) => reject(unavailable(`worker ${to.name} does not answer`, { cause })));
    if (changes.body) upstream.end(changes.body);
    else pipeline(req, upstream, () => {});
    try {
      const answer = await answered;
      if (res.headersSent) await goOn(answer, res);
      else {
        res.writeHead(answer.statusCode!, answer.statusMessage, endToEnd(answer.rawHeaders));
        // A stream that has nothing to say yet has begun all the same.
        res.flushHeaders();
        await piped(answer, res, { end: false });
      }
      await changes.beforeEnd?.();
      res.end();
    } catch (error) {
      if (!res.headersSent) throw error;
      res.destroy();
    } finally {
      res.off('close', left);
    }
  }

  /**
   * Hands a connection over to a worker, from the head of the request that asked for another protocol on: what either
   * side says reaches the other as it is, the end of one direction too. Throws `unavailable` before anything was sent.
   */
  async upgrade(
    req: IncomingMessage,
    client: Duplex,
    head: Buffer,
    to: Upstream,
    changes: Changes = {},
  ): Promise<void> {
    const worker = to.connect();
    const { promise: over, resolve, reject } = Promise.withResolvers<void>();
    let isHeard = false;
    worker.once('readable', () => {
      isHeard = true;
    });
    const end = (cause?: Error) => {
      if (!isHeard && !client.destroyed) reject(unavailable(`worker ${to.name} does not answer`, { cause }));
      else if (!cause && worker.readableEnded && !client.destroyed) letTake(client);
      else client.destroy();
      worker.destroy();
      resolve();
    };
    worker.once('error', end).once('close', () => end());
    client.once('error', end).once('close', () => end());
    worker.write(requestHead(req, changes, to));
    if (head.length > 0) worker.write(head);
    client.pipe(worker);
    worker.pipe(client);
    await over;
  }
}

/** A client gets the last of what was written to it, whatever it still says itself. */
function letTake(client: Duplex): void {
  client.unpipe();
  client.resume();
  const late = setTimeout(() => client.destroy(), LINGER);
  client.once('close', () => clearTimeout(late));
}

/** More of an answer that has begun as a stream of messages in JSON: what the worker refuses is one of them. */
async function goOn(answer: IncomingMessage, res: ServerResponse): Promise<void> {
  if (answer.statusCode! < 300) {
    await piped(answer, res, { end: false });
    return;
  }
  const chunks: Buffer[] = [];
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    if (chunks.length < MAX_REFUSAL) chunks.push(chunk);
  }
  res.write(errorLine(refusalIn(Buffer.concat(chunks).toString())));
}

/** An error within a stream of messages, as the Engine API has them. */
export function errorLine(message: string): string {
  return `${JSON.stringify({ errorDetail: { message }, error: message })}\r\n`;
}

function refusalIn(text: string): string {
  try {
    return String(JSON.parse(text).message);
  } catch (error) {
    return text === '' ? messageOf(error) : text;
  }
}

function headersOf(req: IncomingMessage, { headers = {}, body }: Changes, to: Upstream): string[] {
  const changed = { ...headers, ...to.headers(), ...(body && { 'Content-Length': String(body.length) }) };
  const names = new Set(Object.keys(changed).map((name) => name.toLowerCase()));
  const kept = endToEnd(req.rawHeaders, names);
  // A body without a length comes in chunks, as it came from the client.
  const chunked = body === undefined && req.headers['transfer-encoding'] !== undefined;
  return [...kept, ...Object.entries(changed).flat(), ...(chunked ? ['Transfer-Encoding', 'chunked'] : [])];
}

/** Names and values in turn, without what is the connection's. */
function endToEnd(raw: readonly string[], without: ReadonlySet<string> = new Set()): string[] {
  const kept: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    if (!OF_CONNECTION.has(name) && !without.has(name)) kept.push(raw[i]!, raw[i + 1]!);
  }
  return kept;
}

function requestHead(req: IncomingMessage, { target, headers: added }: Changes, to: Upstream): string {
  const headers = { ...added, ...to.headers() };
  const lines = [`${req.method} ${target ?? req.url} HTTP/1.1`];
  const names = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    if (!names.has(req.rawHeaders[i]!.toLowerCase()))
      lines.push(`${req.rawHeaders[i]}: ${req.rawHeaders[i + 1]}`);
  }
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}
