import { duplexPair, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { invalid } from '#errors/errors.ts';
import { FrameParser, frameOf, readFrameBatches } from '#worker/buildkit/grpc/frames.ts';
import { GrpcClient } from '#worker/buildkit/grpc/grpc-client.ts';
import { Code, GrpcError, toGrpcError } from '#worker/buildkit/grpc/grpc-error.ts';
import { GrpcServer } from '#worker/buildkit/grpc/grpc-server.ts';
import { Metadata } from '#worker/buildkit/grpc/metadata.ts';
import type { ServiceHandlers } from '#worker/buildkit/grpc/server-call.ts';
import { FileSend } from '#worker/buildkit/proto/github.com/moby/buildkit/session/filesync/filesync_pb.ts';
import { Secrets } from '#worker/buildkit/proto/github.com/moby/buildkit/session/secrets/secrets_pb.ts';
import {
  Health,
  HealthCheckResponse_ServingStatus,
} from '#worker/buildkit/proto/grpc/health/v1/health_pb.ts';

const log = pino({ level: 'silent' });
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

function connected(handlers: {
  health?: ServiceHandlers<typeof Health>;
  secrets?: ServiceHandlers<typeof Secrets>;
  fileSend?: ServiceHandlers<typeof FileSend>;
}): GrpcClient {
  const [ours, theirs] = duplexPair();
  const server = new GrpcServer({ toError: toGrpcError, log })
    .add(Health, handlers.health ?? {})
    .add(Secrets, handlers.secrets ?? {})
    .add(FileSend, handlers.fileSend ?? {});
  server.accept(theirs);
  const client = new GrpcClient(ours);
  closing.push(
    () => client.close(),
    () => server.close(),
  );
  return client;
}

const failure = async (promise: Promise<unknown>): Promise<GrpcError> => {
  const error = await promise.then(
    () => expect.unreachable('it should have failed'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(GrpcError);
  return error as GrpcError;
};

describe('frames', () => {
  const collect = async (stream: Readable, max?: number) => {
    const found: string[] = [];
    for await (const messages of readFrameBatches(stream, max)) {
      for (const message of messages) found.push(message.toString());
    }
    return found;
  };

  it('finds the same messages wherever the chunks are cut', async () => {
    const bytes = Buffer.concat(
      ['', 'a', 'hello', 'x'.repeat(70_000)].map((text) => frameOf(Buffer.from(text))),
    );
    for (const size of [1, 2, 3, 5, 7, 4_096, bytes.length]) {
      const chunks = [];
      for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
      expect(await collect(Readable.from(chunks, { objectMode: true }))).toEqual([
        '',
        'a',
        'hello',
        'x'.repeat(70_000),
      ]);
    }
  });

  it('refuses what is too large by its prefix alone', () => {
    const parser = new FrameParser(10);
    expect(() => [...parser.push(Buffer.from([0, 0, 0, 0, 11]))]).toThrow('larger than max (11 vs. 10)');
  });

  it('refuses compressed messages and a stream that ends in a message', async () => {
    await expect(collect(Readable.from([Buffer.from([1, 0, 0, 0, 0])]))).rejects.toThrow('compressed');
    await expect(collect(Readable.from([Buffer.from([0, 0, 0, 0, 2, 65])]))).rejects.toThrow(
      'within a message',
    );
  });
});

describe('calls', () => {
  it('carries a message there and back', async () => {
    const client = connected({
      secrets: {
        getSecret: async ({ ID, annotations }) => ({ data: Buffer.from(`${ID} ${annotations.a}`) }),
      },
    });
    const { data } = await client.unary(Secrets.method.getSecret, { ID: 'token', annotations: { a: 'ä' } });
    expect(Buffer.from(data).toString()).toBe('token ä');
  });

  it('keeps repeated headers apart', async () => {
    const client = connected({
      secrets: {
        getSecret: async (_request, { metadata }) => ({
          data: Buffer.from(JSON.stringify(metadata.all('pattern'))),
        }),
      },
    });
    const metadata = new Metadata().add('pattern', 'a, b', 'c');
    const { data } = await client.unary(Secrets.method.getSecret, {}, { metadata });
    expect(JSON.parse(Buffer.from(data).toString())).toEqual(['a, b', 'c']);
  });

  it('tells code, message and details of a failure', async () => {
    const details = [{ $typeName: 'google.protobuf.Any' as const, typeUrl: 'a/b', value: Buffer.from('{}') }];
    const client = connected({
      secrets: {
        getSecret: async () => {
          throw new GrpcError(Code.notFound, '100 % ä\nsecret', { details });
        },
      },
    });
    const error = await failure(client.unary(Secrets.method.getSecret, {}));
    expect(error).toMatchObject({ code: Code.notFound, message: '100 % ä\nsecret' });
    expect(error.details.map(({ typeUrl, value }) => [typeUrl, Buffer.from(value).toString()])).toEqual([
      ['a/b', '{}'],
    ]);
  });

  it('gives domain errors the code under which clients show nothing but the message', async () => {
    const client = connected({
      secrets: {
        getSecret: async () => {
          throw invalid('no');
        },
      },
    });
    expect(await failure(client.unary(Secrets.method.getSecret, {}))).toMatchObject({
      code: Code.unknown,
      message: 'no',
    });
  });

  it('answers unknown methods after reading their request', async () => {
    const client = connected({});
    const call = client.stream(FileSend.method.diffCopy);
    const sent = (async () => {
      for (let count = 0; count < 20; count++) await call.send({ data: new Uint8Array(1_000_000) });
      call.end();
    })();
    const error = await failure(
      (async () => {
        for await (const _message of call);
      })(),
    );
    expect(error.code).toBe(Code.unimplemented);
    await sent.catch(() => {});
    // The connection is still good.
    expect((await failure(client.unary(Secrets.method.getSecret, {}))).code).toBe(Code.unimplemented);
  });

  it('streams both ways at once, as large as a message may be', async () => {
    const client = connected({
      fileSend: {
        async *diffCopy(requests) {
          for await (const { data } of requests) yield { data: data.subarray(0, 1) };
        },
      },
    });
    const call = client.stream(FileSend.method.diffCopy);
    const replies: number[] = [];
    const reading = (async () => {
      for await (const { data } of call) replies.push(data[0]!);
    })();
    for (let at = 0; at < 8; at++) await call.send({ data: new Uint8Array(16_000_000).fill(at) });
    call.end();
    await reading;
    expect(replies).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('holds a sender back when nobody reads', async () => {
    let release = () => {};
    const client = connected({
      fileSend: {
        async *diffCopy(requests) {
          await new Promise<void>((resolve) => {
            release = resolve;
          });
          let bytes = 0;
          for await (const { data } of requests) bytes += data.length;
          yield { data: Buffer.from(String(bytes)) };
        },
      },
    });
    const call = client.stream(FileSend.method.diffCopy);
    let sent = 0;
    const sending = (async () => {
      for (; sent < 100; sent++) await call.send({ data: new Uint8Array(1_000_000) });
      call.end();
    })();
    await sleep(200);
    expect(sent).toBeLessThan(20);
    release();
    await sending;
    const replies = [];
    for await (const { data } of call) replies.push(Buffer.from(data).toString());
    expect(replies).toEqual(['100000000']);
  });

  it('aborts the handler of a call that is cancelled', async () => {
    const aborted = Promise.withResolvers<void>();
    const client = connected({
      health: {
        async *watch(_request, { signal }) {
          signal.addEventListener('abort', () => aborted.resolve());
          yield { status: HealthCheckResponse_ServingStatus.SERVING };
          await aborted.promise;
        },
      },
    });
    const controller = new AbortController();
    const call = client.stream(Health.method.watch, { signal: controller.signal });
    await call.send({});
    call.end();
    const error = await failure(
      (async () => {
        for await (const { status } of call) {
          expect(status).toBe(HealthCheckResponse_ServingStatus.SERVING);
          controller.abort();
        }
      })(),
    );
    expect(error.code).toBe(Code.cancelled);
    await aborted.promise;
  });

  it('aborts a call at its deadline', async () => {
    const client = connected({
      secrets: {
        getSecret: (_request, { signal }) =>
          new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      },
    });
    const metadata = new Metadata().add('grpc-timeout', '20m');
    const error = await failure(client.unary(Secrets.method.getSecret, {}, { metadata }));
    expect(error).toMatchObject({ code: Code.deadlineExceeded });
  });

  it('ends calls and says so when the connection is lost', async () => {
    const client = connected({ secrets: { getSecret: () => new Promise(() => {}) } });
    const call = client.unary(Secrets.method.getSecret, {});
    setTimeout(() => client.close(), 20);
    expect((await failure(call)).code).toBe(Code.unavailable);
    expect(client.closed.aborted).toBe(true);
    expect((await failure(client.unary(Secrets.method.getSecret, {}))).code).toBe(Code.unavailable);
  });
});
