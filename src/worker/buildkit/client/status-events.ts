import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import type { ProgressSink } from '#worker/build/solve/progress.ts';
import type { StatusResponse } from '../proto/github.com/moby/buildkit/api/services/control/control_pb.ts';

/** Tells what a message of a build's progress says. */
export async function tellStatus(message: StatusResponse, sink: ProgressSink): Promise<void> {
  for (const { digest, inputs, name, cached, error, started, completed } of message.vertexes) {
    const times = { ...at('started', started), ...at('completed', completed) };
    sink.vertex({ digest, inputs, name, cached, ...times, ...(error !== '' && { error }) });
  }
  for (const { ID: id, vertex, name, current, total, timestamp, started, completed } of message.statuses) {
    const times = { ...at('started', started), ...at('completed', completed) };
    const counts = { current: Number(current), total: Number(total) };
    sink.status({ id, vertex, name, ...counts, timestamp: momentOf(timestamp), ...times });
  }
  for (const { vertex, stream, msg, timestamp } of message.logs) {
    const name = stream === 2n ? 'stderr' : 'stdout';
    await sink.log({ vertex, stream: name, data: msg, timestamp: momentOf(timestamp) });
  }
  for (const { vertex, level, short, detail, url } of message.warnings) {
    const lines = detail.map((line) => Buffer.from(line).toString());
    const text = Buffer.from(short).toString();
    sink.warning({ vertex, level: Number(level), short: text, detail: lines, ...(url !== '' && { url }) });
  }
}

function at<K extends string>(name: K, time: Timestamp | undefined): { [P in K]?: Date } {
  return time ? ({ [name]: timestampDate(time) } as { [P in K]?: Date }) : {};
}

function momentOf(time: Timestamp | undefined): Date {
  return time ? timestampDate(time) : new Date();
}
