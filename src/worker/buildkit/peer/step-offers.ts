import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isKind } from '#errors/errors.ts';
import type { ExecMount, ExecOp } from '#worker/build/llb/op.ts';
import type { BuildSession } from '#worker/build/session/build-session.ts';
import type { Offers } from '../client/offers.ts';

/**
 * Secrets and agents of the build's client that a step names, and nothing else of what the client has. Agents' sockets are
 * below `directory`. Throws what the client's session throws.
 */
export async function openOffers(
  op: ExecOp,
  session: BuildSession,
  { directory: parent, signal }: { directory: string; signal: AbortSignal },
): Promise<Offers & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const secrets = new Map<string, () => Promise<Uint8Array>>();
  const wanted = [...op.mounts.filter(isOf('secret')), ...(op.secretEnv ?? [])].map(({ id }) => id);
  for (const id of new Set(wanted)) {
    const value = await ifThere(session.secret(id, { signal }));
    if (value) secrets.set(id, async () => value);
  }
  const agents = new Map<string, string>();
  for (const id of new Set(op.mounts.filter(isOf('ssh')).map((mount) => mount.id))) {
    await mkdir(parent, { recursive: true, mode: 0o700 });
    const directory = await mkdtemp(join(parent, 'agent-'));
    opened.defer(() => rm(directory, { recursive: true, force: true }));
    const agent = await ifThere(session.agent(id, { directory, uid: 0, gid: 0, mode: 0o600, signal }));
    if (agent) agents.set(id, opened.use(agent).path);
  }
  const kept = opened.move();
  return {
    directories: new Map(),
    sharedKey: '',
    credentials: async () => undefined,
    secrets,
    agents,
    outputs: new Map(),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

function isOf<T extends ExecMount['type']>(type: T) {
  return (mount: ExecMount): mount is Extract<ExecMount, { type: T }> => mount.type === type;
}

/** What a step may do without is missed where it runs. */
async function ifThere<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (isKind(error, 'not-found') || isKind(error, 'unsupported')) return undefined;
    throw error;
  }
}
