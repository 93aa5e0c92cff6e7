import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { CacheContents, CacheUsage } from '#worker/build/cache/cache-contents.ts';
import { prune } from '#worker/build/cache/prune.ts';
import { itemFilter } from '../filter/item-filter.ts';
import type { ServiceHandlers } from '../grpc/server-call.ts';
import type {
  Control,
  UsageRecordSchema,
} from '../proto/github.com/moby/buildkit/api/services/control/control_pb.ts';

export interface CacheParts {
  /** Everything that the builder keeps. */
  readonly contents: readonly CacheContents[];
  /** Of the disk that it is on, in bytes. */
  readonly freeBytes: () => Promise<number>;
}

/** What is kept between builds: `buildx du`, `buildx prune`. */
export function cacheCalls({
  contents,
  freeBytes,
}: CacheParts): Pick<ServiceHandlers<typeof Control>, 'diskUsage' | 'prune'> {
  return {
    async diskUsage({ filter, ageLimit }) {
      const matches = itemFilter(filter, usageField);
      const before = Date.now() - Number(ageLimit) / 1e6;
      const all = (await Promise.all(contents.map((part) => part.usage()))).flat();
      const wanted = all.filter(
        (usage) => matches(usage) && (ageLimit === 0n || usage.lastUsedAt.getTime() < before),
      );
      return { record: wanted.map(usageRecord) };
    },
    async *prune(request) {
      const matches = itemFilter(request.filter, usageField);
      const { removed } = await prune(
        contents,
        {
          // Without `--all` what is kept for builds that run as we speak stays.
          matches: (usage) => matches(usage) && (request.all || usage.type !== 'internal'),
          reservedBytes: Number(request.reservedSpace),
          maxUsedBytes: Number(request.maxUsedSpace),
          minFreeBytes: Number(request.minFreeSpace),
          ...(request.keepDuration > 0n && {
            unusedSince: new Date(Date.now() - Number(request.keepDuration) / 1e6),
          }),
        },
        freeBytes,
      );
      for (const usage of removed) yield usageRecord(usage);
    },
  };
}

function usageRecord(usage: CacheUsage): MessageInitShape<typeof UsageRecordSchema> {
  return {
    ID: usage.id,
    Mutable: isMutable(usage),
    InUse: usage.inUse,
    Size: BigInt(usage.bytes),
    CreatedAt: timestampFromDate(usage.createdAt),
    LastUsedAt: timestampFromDate(usage.lastUsedAt),
    UsageCount: BigInt(usage.usageCount),
    Description: usage.description,
    Parents: [...(usage.parents ?? [])],
    RecordType: usage.type,
  };
}

function isMutable({ type }: CacheUsage): boolean {
  return type !== 'regular' && type !== 'internal';
}

/** Of what holds or does not, `inuse` and its like, it is asked whether it is there. */
function usageField(usage: CacheUsage, [field]: readonly string[]): string | undefined {
  const present = (holds: boolean) => (holds ? '' : undefined);
  switch (field) {
    case 'id':
      return usage.id;
    case 'parents':
      return usage.parents?.join(';') || undefined;
    case 'type':
      return usage.type;
    case 'description':
      return usage.description || undefined;
    case 'inuse':
      return present(usage.inUse);
    case 'mutable':
      return present(isMutable(usage));
    case 'immutable':
      return present(!isMutable(usage));
    case 'shared':
      return undefined;
    case 'private':
      return '';
    default:
      return undefined;
  }
}
