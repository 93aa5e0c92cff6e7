import { setTimeout as sleep } from 'node:timers/promises';
import type { Container } from '../container.ts';
import {
  type CgroupUsage,
  hostMemory,
  readCgroupUsage,
  readNetworkUsage,
  readSystemCpu,
} from './cgroup-reader.ts';

export interface StatsSample {
  readonly at: Date;
  readonly usage: CgroupUsage;
  readonly system: { readonly total: number; readonly online: number };
  readonly networks: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly hostMemory: number;
}

/** A sample with the one before it, from which clients reckon percentages; undefined while it does not run. */
export interface StatsPair {
  readonly now: StatsSample | undefined;
  readonly before: StatsSample | undefined;
}

const INTERVAL = 1000;

/** `docker stats`. Nothing is collected unless somebody looks. */
export class ContainerStats {
  /** One sample; with `oneShot` at once, otherwise with one a second before it. */
  async once(container: Container, options: { oneShot: boolean; signal: AbortSignal }): Promise<StatsPair> {
    const before = await sample(container);
    if (options.oneShot || !before) return { now: before, before: undefined };
    await sleep(INTERVAL, undefined, { signal: options.signal });
    return { now: await sample(container), before };
  }

  /** One pair a second until the container is gone or the signal aborts. */
  async *stream(container: Container, signal: AbortSignal): AsyncGenerator<StatsPair> {
    let gone = false;
    void container.removed.then(() => {
      gone = true;
    });
    let before: StatsSample | undefined;
    while (!gone && !signal.aborted) {
      const now = await sample(container);
      yield { now, before };
      before = now;
      await sleep(INTERVAL, undefined, { signal }).catch(() => undefined);
    }
  }
}

async function sample(container: Container): Promise<StatsSample | undefined> {
  const pid = container.running ? container.task?.pid : undefined;
  if (pid === undefined) return undefined;
  try {
    const [usage, networks, system, memory] = await Promise.all([
      readCgroupUsage(pid),
      readNetworkUsage(pid),
      readSystemCpu(),
      hostMemory(),
    ]);
    return { at: new Date(), usage, networks, system, hostMemory: memory };
  } catch {
    // It has ended between two looks.
    return undefined;
  }
}
