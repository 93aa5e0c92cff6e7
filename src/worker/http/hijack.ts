import type { IncomingMessage } from 'node:http';
import { Duplex, PassThrough, Readable } from 'node:stream';
import { invalid } from '#errors/errors.ts';
import type { EngineContext } from './router.ts';

/**
 * The connection of a request that asked for `Upgrade: tcp`. Node's HTTP parser has let go of it at the end of
 * the headers, so the request's body, if it has one, is still in front of the raw stream.
 */
interface Upgrade {
  readonly socket: Duplex;
  /** What came with the request's head. */
  readonly head: Buffer;
  readonly body: Readable;
  /** The raw stream's first bytes, once the body was read. */
  readonly rest: () => Buffer;
}

const upgrades = new WeakMap<IncomingMessage, Upgrade>();

/** Called by the server for an `upgrade` event, before the request is routed. */
export function registerUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void {
  const length = Number(req.headers['content-length'] ?? 0);
  let rest = head.subarray(length);
  const body = Readable.from(
    (async function* () {
      let missing = length - Math.min(head.length, length);
      if (head.length > 0 && length > 0) yield head.subarray(0, length);
      while (missing > 0) {
        const chunk = await nextChunk(socket);
        if (!chunk) throw new Error('the connection ended within the request body');
        if (chunk.length > missing) rest = chunk.subarray(missing);
        yield chunk.subarray(0, missing);
        missing -= Math.min(chunk.length, missing);
      }
    })(),
    { objectMode: true },
  );
  upgrades.set(req, { socket, head, body, rest: () => rest });
}

/** Whether the connection is no longer HTTP's. */
export function isUpgrade(req: IncomingMessage): boolean {
  return upgrades.has(req);
}

/** The connection of an upgrade request, for somebody else to answer on; undefined when the request is an ordinary one. */
export function upgradeConnection(ctx: EngineContext): { socket: Duplex; head: Buffer } | undefined {
  const upgrade = upgrades.get(ctx.req);
  if (!upgrade) return undefined;
  ctx.respond = false;
  ctx.res.detachSocket(upgrade.socket as never);
  return upgrade;
}

/** The body of an upgrade request; undefined when the request is an ordinary one. */
export function upgradeBody(ctx: EngineContext): Readable | undefined {
  return upgrades.get(ctx.req)?.body;
}

/**
 * Takes the connection over from HTTP, as attach and exec do: both directions become raw bytes. Answers `101`
 * to a client that asked for an upgrade and `200` to one that did not. The caller ends or destroys the stream;
 * the client's half-close ends only its readable side. Call `readJson` before, if there is a body.
 */
export async function hijack(ctx: EngineContext, options: { contentType: string }): Promise<Duplex> {
  ctx.respond = false;
  const upgrade = upgrades.get(ctx.req);
  return upgrade ? takeSocket(ctx, upgrade, options.contentType) : streamResponse(ctx, options.contentType);
}

/**
 * The connection of a request that asked for `Upgrade: <protocol>`, which it speaks from now on. Throws `invalid` for a
 * request that asked for nothing, or for another one.
 */
export async function switchProtocol(ctx: EngineContext, protocol: string): Promise<Duplex> {
  const upgrade = upgrades.get(ctx.req);
  const asked = ctx.get('Upgrade');
  if (!upgrade || asked === '') throw invalid('no upgrade proto in request');
  if (asked.toLowerCase() !== protocol) throw invalid(`protocol ${asked} not supported`);
  ctx.respond = false;
  const answered = Promise.withResolvers<void>();
  const headers = `Connection: Upgrade\r\nUpgrade: ${protocol}`;
  const connection = switchSocket(ctx, upgrade, headers, answered.resolve);
  // Node's HTTP keeps our half open when the client ends its own, for attach; a protocol's connection ends as a whole.
  connection.once('end', () => connection.destroy());
  connection.on('error', () => connection.destroy());
  // What TLS agreed on was the protocol before; Node's HTTP/2 takes no connection that says so.
  if ('alpnProtocol' in connection) connection.alpnProtocol = 'h2';
  // Nor may it take one over while something is being written there: with TLS that ends the process.
  await answered.promise;
  return connection;
}

/** One frame of a multiplexed stream: `[stream, 0, 0, 0, length]`, big-endian, and the bytes. */
export function frame(stream: 0 | 1 | 2, bytes: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(8 + bytes.length);
  framed.writeUInt32BE(stream << 24, 0);
  framed.writeUInt32BE(bytes.length, 4);
  framed.set(bytes, 8);
  return framed;
}

const NEWLINE = 0x0a;

/** A frame for each line, as Docker sends logs: clients take a frame for one. */
export function lineFrames(stream: 1 | 2, bytes: Uint8Array): Buffer {
  let lines = 0;
  for (let at = 0; at < bytes.length; lines++) at = lineEnd(bytes, at);
  const framed = Buffer.allocUnsafe(bytes.length + lines * 8);
  let end = 0;
  for (let start = 0; start < bytes.length; ) {
    const next = lineEnd(bytes, start);
    end = framed.writeUInt32BE(stream << 24, end);
    end = framed.writeUInt32BE(next - start, end);
    framed.set(bytes.subarray(start, next), end);
    end += next - start;
    start = next;
  }
  return framed;
}

/** Past the newline of the line that begins there. */
function lineEnd(bytes: Uint8Array, start: number): number {
  return bytes.indexOf(NEWLINE, start) + 1 || bytes.length;
}

function takeSocket(ctx: EngineContext, upgrade: Upgrade, contentType: string): Duplex {
  return switchSocket(ctx, upgrade, `Content-Type: ${contentType}\r\nConnection: Upgrade\r\nUpgrade: tcp`);
}

function switchSocket(
  ctx: EngineContext,
  upgrade: Upgrade,
  headers: string,
  written: () => void = () => {},
): Duplex {
  const { socket } = upgrade;
  ctx.res.detachSocket(socket as never);
  socket.write(`HTTP/1.1 101 UPGRADED\r\n${headers}\r\n\r\n`, written);
  const rest = upgrade.rest();
  if (rest.length > 0) socket.unshift(rest);
  return socket;
}

/** Without an upgrade the response body is the output, and what the client sends as its body is the input. */
function streamResponse(ctx: EngineContext, contentType: string): Duplex {
  const { req, res } = ctx;
  res.statusCode = 200;
  res.shouldKeepAlive = false;
  res.useChunkedEncodingByDefault = false;
  res.setHeader('Content-Type', contentType);
  res.flushHeaders();
  const output = new PassThrough();
  output.pipe(res);
  return Duplex.from({ readable: req, writable: output });
}

function nextChunk(socket: Duplex): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void) => {
      socket.off('readable', onReadable).off('end', onEnd).off('error', onError).off('close', onEnd);
      settle();
    };
    const onReadable = () => {
      const chunk: Buffer | null = socket.read();
      if (chunk) finish(() => resolve(chunk));
    };
    const onEnd = () => finish(() => resolve(undefined));
    const onError = (error: Error) => finish(() => reject(error));
    socket.on('readable', onReadable).on('end', onEnd).on('error', onError).on('close', onEnd);
    onReadable();
  });
}
