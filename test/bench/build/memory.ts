import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startSlipway } from '../../e2e/harness/slipway.ts';
import { seedImages } from '../../images/stand-ins.ts';
import { buildctl } from './builder.ts';

/** A build of 2 GiB, and how much memory its worker may have at most meanwhile. */
interface MemoryScenario {
  readonly name: string;
  /** Makes the context; answers the Dockerfile's lines behind FROM. */
  prepare(folder: string): string;
  readonly pushed?: boolean;
}

export interface MemoryRow {
  readonly scenario: string;
  /** Resident, of all of the worker's process. */
  readonly peak: number;
}

/** In MB, as all figures of memory here. */
export const MEMORY_GOAL = 300;

const MIB = 1024 * 1024;

const MEMORY_SCENARIOS: readonly MemoryScenario[] = [
  {
    name: 'memory: a context of 2 GiB in four files',
    prepare: (folder) => {
      for (let i = 0; i < 4; i++) repeated(join(folder, `file-${i}`), 512);
      return 'COPY . /context';
    },
  },
  {
    name: 'memory: a context of 2 GiB in 32,768 files',
    prepare: (folder) => {
      const bytes = Buffer.alloc(64 * 1024, `${Math.random()}`);
      for (let i = 0; i < 32_768; i++) {
        const directory = join(folder, `${i % 128}`);
        if (i < 128) mkdirSync(directory);
        writeFileSync(join(directory, `file-${i}`), bytes);
      }
      return 'COPY . /context';
    },
  },
  {
    name: 'memory: a layer of 2 GiB',
    prepare: layer,
  },
  {
    name: 'memory: a layer of 2 GiB, pushed',
    prepare: layer,
    pushed: true,
  },
];

function layer(): string {
  return 'RUN head -c 2147483648 /dev/urandom > /layer';
}

/** The worker's peak in each of them, of a Slipway of its own. `only`: a part of their names. */
export async function* peakMemory(only: string): AsyncGenerator<MemoryRow> {
  for (const { name, prepare, pushed } of MEMORY_SCENARIOS.filter((one) => one.name.includes(only))) {
    const context = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
    try {
      await using slipway = await startSlipway({ buildkit: true, env: { SLIPWAY_LOG_LEVEL: 'warn' } });
      await seedImages(slipway.registry, ['busybox']);
      const images = `${slipway.registry}/library/`;
      writeFileSync(join(context, 'Dockerfile'), `FROM ${images}busybox\n${prepare(context)}\n`);
      const push = `${slipway.registry}/bench/memory:1`;
      await buildctl('Slipway', slipway.buildkit, images).build({ context, ...(pushed && { push }) });
      yield { scenario: name, peak: peakOf(slipway.rolePid('worker')) };
    } finally {
      rmSync(context, { recursive: true });
    }
  }
}

/** Greatest resident size of a process since it began, in MB. */
function peakOf(pid: number): number {
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round((Number(kibibytes) * 1024) / 1e6);
}

function repeated(path: string, mebibytes: number): void {
  const bytes = Buffer.alloc(MIB, `${Math.random()}`);
  for (let i = 0; i < mebibytes; i++) writeFileSync(path, bytes, { flag: 'a' });
}
