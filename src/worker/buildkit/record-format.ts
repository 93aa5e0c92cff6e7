import { create, toBinary } from '@bufbuild/protobuf';
import type { RecordFormat } from '#worker/build/history/record-format.ts';
import { buildError } from './build-error.ts';
import { buildTrace } from './build-trace.ts';
import { StatusFeed } from './control/status-feed.ts';
import { StatusResponseSchema } from './proto/github.com/moby/buildkit/api/services/control/control_pb.ts';
import { StatusSchema } from './proto/google/rpc/status_pb.ts';

/** Logs, traces and errors of builds that are over as BuildKit keeps them (solver/llbsolver/history). */
export const buildkitRecordFormat: RecordFormat = {
  log: {
    mediaType: 'application/vnd.buildkit.status.v0',
    /** Messages of `Status`, each after its length in four bytes, the lowest first. */
    async *encode(replay) {
      const feed = new StatusFeed();
      replay(feed).then(
        () => feed.end(),
        (error: unknown) => feed.end(error),
      );
      for await (const response of feed.messages()) {
        const message = toBinary(StatusResponseSchema, create(StatusResponseSchema, response));
        const length = Buffer.alloc(4);
        length.writeUInt32LE(message.length);
        yield length;
        yield message;
      }
    },
  },
  trace: { mediaType: 'application/vnd.buildkit.otlp.json.v0', encode: buildTrace },
  error: {
    // The misspelling is BuildKit's.
    mediaType: 'application/vnd.googeapis.google.rpc.status+proto',
    encode(error, message) {
      const { code, details } = buildError(error);
      return toBinary(StatusSchema, create(StatusSchema, { code, message, details: [...details] }));
    },
  },
};
