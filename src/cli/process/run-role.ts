import { EventEmitter } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '#config/schema.ts';
import { isKind, messageOf } from '#errors/errors.ts';
import { Refusal } from '../refusal.ts';
import { enterRegistryDirectory } from '../registry/directory.ts';
import { InstanceLock } from './instance-lock.ts';
import { createLogger } from './logger.ts';
import { releaseMemoryOfStart } from './release-memory.ts';
import type { RoleMessage, RoleName, RunningRole, StartRole } from './role.ts';
import { onStopRequest } from './stop-requests.ts';

/** A supervisor that was killed leaves roles that are about to end; the next one's wait for that. */
const patienceForPredecessor = 10_000;

/** Runs one role in this process until it is asked to stop, or its supervisor is gone. */
export async function runRole(name: RoleName, config: Config): Promise<number> {
  const supervised = process.send !== undefined;
  const logger = createLogger(name, { ...config.log, supervised });
  const stopping = new AbortController();
  const reloads = new EventEmitter<{ reload: [] }>();
  onStopRequest({
    stop: () => stopping.abort(),
    hurry: () => process.exit(1),
    reload: () => reloads.emit('reload'),
  });
  process.once('disconnect', () => stopping.abort());
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'a bug: the process ends');
    process.exit(1);
  });

  try {
    const start = await load(name, config);
    const directory = enterDirectory(config, name);
    using _lock = await InstanceLock.acquire(directory, {
      patience: supervised ? patienceForPredecessor : 0,
    });
    await using role = await start(config, {
      logger,
      signal: stopping.signal,
      onReload: (reload) => reloads.on('reload', reload),
    });
    announce(role, name, supervised);
    releaseMemoryOfStart();
    await aborted(stopping.signal);
    await role.drain?.();
    boundStop(config);
  } catch (error) {
    if (stopping.signal.aborted) return 0;
    const refused = error instanceof Refusal || isKind(error, 'unavailable') || isKind(error, 'invalid');
    if (!refused) logger.fatal({ err: error }, `the ${name} could not start`);
    await tell({ type: 'failed', message: messageOf(error) });
    if (supervised) return 1;
    throw error instanceof Refusal ? error : new Refusal(messageOf(error), { cause: error });
  }
  return 0;
}

/** All of a role's code: nothing may be left to load once it gave up root. */
async function load(name: RoleName, config: Config): Promise<StartRole> {
  if (config.tracing.endpoint !== null) await import('#observability/otel-tracer.ts');
  if (name === 'registry') {
    const { startRegistry } = await import('../registry/registry.ts');
    await (await import('../storage/content-storage.ts')).loadContentStorage(config);
    return startRegistry;
  }
  if (name === 'gateway') return (await import('../gateway/gateway.ts')).startGateway;
  return (await import('../worker/worker.ts')).startWorker;
}

function enterDirectory(config: Config, name: RoleName): string {
  if (name === 'registry') return enterRegistryDirectory(config);
  const directory = join(config.dataDir, name);
  mkdirSync(config.dataDir, { recursive: true, mode: 0o711 });
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  return directory;
}

function announce(role: RunningRole, name: RoleName, supervised: boolean): void {
  if (supervised) void tell({ type: 'ready', addresses: role.addresses });
  else process.stdout.write(`The ${name} serves ${role.addresses.join(', ')}\n`);
}

function tell(message: RoleMessage): Promise<void> {
  return new Promise((resolve) => {
    if (!process.connected || !process.send) resolve();
    else process.send(message, () => resolve());
  });
}

/** A role that does not end by itself is ended: nothing acknowledged depends on an orderly stop. */
function boundStop(config: Config): void {
  setTimeout(() => process.exit(1), config.stopTimeout).unref();
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
