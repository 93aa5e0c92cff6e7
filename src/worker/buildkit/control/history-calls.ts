import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { notFound } from '#errors/errors.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import type { BuildHistory } from '#worker/build/history/build-history.ts';
import type { HistoryEvent, KeptRecord } from '#worker/build/history/build-record.ts';
import { historyFilter } from '../filter/history-filter.ts';
import { Code } from '../grpc/grpc-error.ts';
import type { ServerCall, ServiceHandlers } from '../grpc/server-call.ts';
import {
  type BuildHistoryEventSchema,
  type BuildHistoryRecordSchema,
  type Control,
  BuildHistoryEventType as EventType,
} from '../proto/github.com/moby/buildkit/api/services/control/control_pb.ts';
import { MessageQueue } from '../session/message-queue.ts';

type HistoryCalls = Pick<ServiceHandlers<typeof Control>, 'listenBuildHistory' | 'updateBuildHistory'>;
type Event = MessageInitShape<typeof BuildHistoryEventSchema>;

/** Builds that were and are: `buildx history`. */
export function historyCalls(history: BuildHistory): HistoryCalls {
  return {
    async *listenBuildHistory(request, call) {
      sendTime(call);
      const matches = historyFilter(request.Filter);
      const wanted = (record: KeptRecord) =>
        (!request.Ref || record.ref === request.Ref) &&
        (!request.ActiveOnly || !record.completedAt) &&
        matches(record);
      const queue = new MessageQueue<Event>();
      // Before what is there is read, so that nothing falls in between; told twice is no harm.
      using _listener = history.listen((event) => {
        if (wanted(event.record) || event.type !== 'started') void queue.push(toPb(event));
      });
      const known = request.Ref ? [await history.find(request.Ref)] : await history.list();
      const found = known.filter((record) => record !== undefined && wanted(record)) as KeptRecord[];
      const first = request.Limit > 0 ? found.slice(0, request.Limit) : found;
      for (const record of first) yield toPb({ type: record.completedAt ? 'complete' : 'started', record });
      if (request.EarlyExit) return;
      call.signal.addEventListener('abort', () => queue.end(), { once: true });
      yield* queue;
    },
    async updateBuildHistory({ Ref: ref, Delete: remove, Pinned: pinned, Finalize: finalize }) {
      if (!(await history.find(ref))) throw notFound(`no such build: ${ref}`);
      if (remove) await history.delete(ref);
      else if (!finalize) await history.pin(ref, pinned);
      return {};
    },
  };
}

/** Clients reckon with the difference between their clock and ours. */
export function sendTime(call: ServerCall): void {
  call.sendHeaders({ 'buildkit-currenttimestamp': new Date().toISOString() });
}

const TYPES = {
  started: EventType.STARTED,
  complete: EventType.COMPLETE,
  deleted: EventType.DELETED,
} as const satisfies Record<HistoryEvent['type'], EventType>;

function toPb({ type, record }: HistoryEvent): Event {
  return { type: TYPES[type], record: recordToPb(record) };
}

function recordToPb(record: KeptRecord): MessageInitShape<typeof BuildHistoryRecordSchema> {
  const { steps, error, completedAt } = record;
  return {
    Ref: record.ref,
    Frontend: record.frontend,
    FrontendAttrs: { ...record.frontendOptions },
    Exporters: record.exporters.map(({ type, attrs }) => ({ Type: type, Attrs: { ...attrs } })),
    CreatedAt: timestampFromDate(record.createdAt),
    ...(completedAt && { CompletedAt: timestampFromDate(completedAt) }),
    ...(error && {
      error: { code: error.kind === 'canceled' ? Code.cancelled : Code.unknown, message: error.message },
    }),
    ExporterResponse: { ...record.response },
    Generation: record.generation,
    pinned: record.pinned,
    numTotalSteps: steps.length,
    numCompletedSteps: steps.filter(({ completed }) => completed).length,
    numCachedSteps: steps.filter(({ cached }) => cached).length,
    numWarnings: record.warnings,
    ...attachmentsToPb(record.attachments),
  };
}

function attachmentsToPb(attachments: KeptRecord['attachments']) {
  if (!attachments) return {};
  const { log, trace, error, attestations, results } = attachments;
  const images = Object.fromEntries(
    Object.entries(results).map(([exporter, image]) => [exporter, toDescriptor(image)]),
  );
  const { '': own, ...byPlatform } = attestations;
  const [first] = Object.values(images);
  return {
    ...(log && { logs: toDescriptor(log) }),
    ...(trace && { trace: toDescriptor(trace) }),
    ...(error && { externalError: toDescriptor(error) }),
    Result: {
      Attestations: (own ?? []).map(toDescriptor),
      Results: images,
      // For clients that know of one exporter.
      ...(first && { ResultDeprecated: first }),
    },
    Results: Object.fromEntries(
      Object.entries(byPlatform).map(([platform, stated]) => [
        platform,
        { Attestations: stated.map(toDescriptor) },
      ]),
    ),
  };
}

function toDescriptor({ mediaType, digest, size, annotations = {} }: Descriptor) {
  return { mediaType, digest, size: BigInt(size), annotations: { ...annotations } };
}
