import { setTimeout as sleep } from 'node:timers/promises';
import type { GrpcClient } from '../grpc/grpc-client.ts';
import { Code, GrpcError } from '../grpc/grpc-error.ts';
import type { Metadata } from '../grpc/metadata.ts';
import { Health } from '../proto/grpc/health/v1/health_pb.ts';

const INTERVAL = 5_000;
/** Long, because a client that sends much over a thin line is slow to answer. */
const PATIENCE = 30_000;

/**
 * Closes a connection whose client has stopped to answer twice in a row. Ends with it. `patience`: in milliseconds, for a
 * client that says itself when it is to be given up (header `x-buildkit-session-health-custom-timeout`): within one.
 */
export async function monitorHealth(client: GrpcClient, patience?: number): Promise<void> {
  const [interval, time, limit] = patience === undefined ? [INTERVAL, PATIENCE, 2] : [patience, patience, 1];
  let failures = 0;
  while (failures < limit && (await passed(interval, client.closed))) {
    failures = (await answers(client, time)) ? 0 : failures + 1;
  }
  client.close();
}

/** At least a second; undefined for a client that does not say. */
export function ownPatience(metadata: Metadata): number | undefined {
  const text = metadata.get('x-buildkit-session-health-custom-timeout') ?? '';
  return /^[1-9]\d{0,8}$/.test(text) ? Math.max(Number(text), 1000) : undefined;
}

async function answers(client: GrpcClient, patience: number): Promise<boolean> {
  try {
    await client.unary(Health.method.check, {}, { signal: AbortSignal.timeout(patience) });
    return true;
  } catch (error) {
    // Somebody is there who does not know the question.
    return error instanceof GrpcError && error.code === Code.unimplemented;
  }
}

async function passed(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(milliseconds, undefined, { signal, ref: false });
    return true;
  } catch {
    return false;
  }
}
