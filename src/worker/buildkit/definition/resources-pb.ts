import type { MessageInitShape } from '@bufbuild/protobuf';
import { invalid } from '#errors/errors.ts';
import type { SpecResources } from '#worker/runtime/spec/spec-request.ts';
import type {
  LinuxResources,
  LinuxResourcesSchema,
} from '../proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';

/** What a step may use. undefined: its client says nothing of it. Throws `invalid` for what is no number of anything. */
export function resourcesFromPb(pb: LinuxResources): SpecResources | undefined {
  const lists = { cpusetCpus: pb.cpusetCpus, cpusetMems: pb.cpusetMems };
  for (const [name, list] of Object.entries(lists)) {
    if (!/^[\d,-]*$/.test(list)) throw invalid(`invalid value for ${name}: ${JSON.stringify(list)}`);
  }
  const given = {
    memory: numberFrom(pb.memory),
    memorySwap: numberFrom(pb.memorySwap),
    cpuShares: numberFrom(pb.cpuShares),
    cpuPeriod: numberFrom(pb.cpuPeriod),
    cpuQuota: numberFrom(pb.cpuQuota),
    ...lists,
  };
  const said = Object.entries(given).filter(([, value]) => value !== 0 && value !== '');
  return said.length > 0 ? Object.fromEntries(said) : undefined;
}

export function resourcesToPb(resources: SpecResources): MessageInitShape<typeof LinuxResourcesSchema> {
  const number = (value: number | undefined) => BigInt(value ?? 0);
  const { memory, memorySwap, cpuShares, cpuPeriod, cpuQuota, cpusetCpus = '', cpusetMems = '' } = resources;
  return {
    memory: number(memory),
    memorySwap: number(memorySwap),
    cpuShares: number(cpuShares),
    cpuPeriod: number(cpuPeriod),
    cpuQuota: number(cpuQuota),
    cpusetCpus,
    cpusetMems,
  };
}

/** -1: without a limit. */
function numberFrom(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < -1) throw invalid(`a limit that cannot be: ${value}`);
  return number;
}
