import { setTimeout as sleep } from 'node:timers/promises';
import type { GrpcClient } from '../grpc/grpc-client.ts';
import { Code, GrpcError } from '../grpc/grpc-error.ts';
import { Health } from '../proto/grpc/health/v1/health_pb.ts';

const INTERVAL = 5_000;
/** Long, because a client that sends much over a thin line is slow to answer. */
const PATIENCE = 30_000;

/** Closes a connection whose client has stopped to answer twice in a row. Ends with it. */
export async function monitorHealth(client: GrpcClient): Promise<void> {
  let failures = 0;
  while (failures < 2 && (await passed(INTERVAL, client.closed))) {
    failures = (await answers(client)) ? 0 : failures + 1;
  }
  client.close();
}

async function answers(client: GrpcClient): Promise<boolean> {
  try {
    await client.unary(Health.method.check, {}, { signal: AbortSignal.timeout(PATIENCE) });
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
