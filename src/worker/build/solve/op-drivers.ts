import type { Op } from '../llb/op.ts';
import type { Vertex } from '../llb/vertex.ts';
import type { BuildSession } from '../session/build-session.ts';
import { type Holdable, Lease } from './lease.ts';
import type { BuildLimits, OpContext, OpDriver } from './op-driver.ts';
import type { StepWatcher } from './step-broadcast.ts';

/** A driver for each kind of op. */
export type OpDrivers = { readonly [O in Op as O['kind']]: OpDriver<O> };

/** For whom a driver does something. */
export interface DriveOptions {
  readonly drivers: OpDrivers;
  readonly signal: AbortSignal;
  readonly session: BuildSession;
  readonly progress: Pick<StepWatcher, 'status' | 'log'>;
  readonly limits: BuildLimits;
}

export interface Driven<T> {
  readonly value: T;
  /** Nothing had to be done for it. */
  readonly reused: boolean;
  /** What it stands on. */
  readonly lease: Holdable;
}

/** Lets a vertex's driver do something, and keeps what that takes to stay. What throws leaves nothing. */
export async function drive<T>(
  { op }: Vertex,
  { drivers, ...options }: DriveOptions,
  task: (driver: OpDriver, context: OpContext) => Promise<T>,
): Promise<Driven<T>> {
  await using resources = new AsyncDisposableStack();
  let reused = false;
  const reuse = () => {
    reused = true;
  };
  const value = await task(drivers[op.kind] as OpDriver, { ...options, resources, reused: reuse });
  const kept = resources.move();
  return { value, reused, lease: new Lease(() => kept.disposeAsync()) };
}
