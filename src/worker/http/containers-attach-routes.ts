import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { invalid } from '#errors/errors.ts';
import type { StdioClient } from '../containers/attach/stdio-session.ts';
import type { Containers } from '../containers/containers.ts';
import { timeOfUnixSeconds } from '../logs/log-time.ts';
import { containerOf, containerPath } from './container-path.ts';
import { frame, hijack, lineFrames } from './hijack.ts';
import { booleanQuery, numberQuery, stringQuery } from './query.ts';
import { requestSignal } from './request-signal.ts';
import { atLeast, type EngineContext, type EngineRouter } from './router.ts';

type Services = Pick<Containers, 'store' | 'attacher' | 'logs'>;

/** Input and output of containers. */
export function containersAttachRoutes(router: EngineRouter, { store, attacher, logs }: Services): void {
  router.post(containerPath('attach'), async (ctx) => {
    const container = containerOf(ctx, store);
    const detachKeys = stringQuery(ctx, 'detachKeys');
    const attachment = await attacher.open(container, {
      stdin: booleanQuery(ctx, 'stdin'),
      stdout: booleanQuery(ctx, 'stdout'),
      stderr: booleanQuery(ctx, 'stderr'),
      logs: booleanQuery(ctx, 'logs'),
      stream: booleanQuery(ctx, 'stream'),
      ...(detachKeys && { detachKeys }),
    });
    const { terminal } = attachment;
    await converse(ctx, terminal, (client) => attachment.run(client));
  });

  router.get(containerPath('logs'), async (ctx) => {
    const container = containerOf(ctx, store);
    const signal = requestSignal(ctx);
    const tail = stringQuery(ctx, 'tail');
    const since = momentQuery(ctx, 'since');
    const until = momentQuery(ctx, 'until');
    const entries = logs.read(container, {
      stdout: booleanQuery(ctx, 'stdout'),
      stderr: booleanQuery(ctx, 'stderr'),
      follow: booleanQuery(ctx, 'follow'),
      timestamps: booleanQuery(ctx, 'timestamps'),
      details: booleanQuery(ctx, 'details'),
      ...(tail && /^\d+$/.test(tail) && { tail: Number(tail) }),
      ...(since && { since }),
      ...(until && { until }),
      signal,
    });
    const terminal = container.record.config.Tty;
    ctx.respond = false;
    ctx.res.statusCode = 200;
    ctx.res.setHeader('Content-Type', streamType(ctx, terminal));
    ctx.res.flushHeaders();
    try {
      for await (const { stream, data } of entries) {
        if (!ctx.res.write(terminal ? data : lineFrames(streamNumber(stream), data))) {
          await once(ctx.res, 'drain', { signal });
        }
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    ctx.res.end();
  });

  router.post(containerPath('resize'), async (ctx) => {
    const container = containerOf(ctx, store);
    const size = sizeQuery(ctx);
    await container.runningTask.resize(size);
    ctx.body = '';
  });
}

/** Takes the connection over and lets `talk` use it until that is done. */
export async function converse(
  ctx: EngineContext,
  terminal: boolean,
  talk: (client: StdioClient) => Promise<void>,
): Promise<void> {
  const connection = await hijack(ctx, { contentType: streamType(ctx, terminal) });
  const gone = new AbortController();
  connection.once('close', () => gone.abort());
  connection.on('error', () => gone.abort());
  if (connection.destroyed) gone.abort();
  const client: StdioClient = {
    input: connection,
    output: (stream, data) =>
      deliver(connection, terminal ? data : frame(streamNumber(stream), data), gone.signal),
    signal: gone.signal,
  };
  try {
    await talk(client);
  } finally {
    connection.end();
    // What the client still sends is of no interest, but unread it would keep the connection from closing.
    connection.resume();
  }
}

export function sizeQuery(ctx: EngineContext): { width: number; height: number } {
  const height = numberQuery(ctx, 'h');
  const width = numberQuery(ctx, 'w');
  if (
    height === undefined ||
    width === undefined ||
    height < 0 ||
    width < 0 ||
    height > 65535 ||
    width > 65535
  ) {
    throw invalid('invalid resize: h and w have to be numbers between 0 and 65535');
  }
  return { width, height };
}

async function deliver(connection: Duplex, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  if (signal.aborted || connection.writableEnded) return;
  if (!connection.write(bytes)) await once(connection, 'drain', { signal });
}

/** Frames have a content type of their own since API 1.42. */
function streamType(ctx: EngineContext, terminal: boolean): string {
  const framed = !terminal && atLeast(ctx, '1.42');
  return framed ? 'application/vnd.docker.multiplexed-stream' : 'application/vnd.docker.raw-stream';
}

function streamNumber(stream: 'stdout' | 'stderr'): 1 | 2 {
  return stream === 'stdout' ? 1 : 2;
}

function momentQuery(ctx: EngineContext, name: string): string | undefined {
  const value = stringQuery(ctx, name);
  if (!value || value === '0') return undefined;
  const time = timeOfUnixSeconds(value);
  if (!time) throw invalid(`invalid value for "${name}": ${JSON.stringify(value)}`);
  return time;
}
