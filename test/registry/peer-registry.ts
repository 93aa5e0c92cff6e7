import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts } from '../e2e/harness/free-port.ts';

/** Debian's docker-registry (distribution 2.8), on a folder and port of its own. It deletes what it is asked to. */
export async function startPeerRegistry(): Promise<AsyncDisposable & { address: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-peer-'));
  const address = `127.0.0.1:${(await freePorts(1))[0]}`;
  const settings = {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, 'data') }, delete: { enabled: true } },
    http: { addr: address },
  };
  writeFileSync(join(folder, 'config.yml'), JSON.stringify(settings));
  const child = spawn('docker-registry', ['serve', join(folder, 'config.yml')], {
    stdio: 'ignore',
    env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' },
  });
  let failure: Error | undefined;
  child.once('error', () => {
    failure = new Error('a peer is missing: apt-get install --no-install-recommends docker-registry');
  });
  child.once('exit', () => {
    failure ??= new Error('docker-registry did not start');
  });
  while (!failure && !(await answers(address))) await sleep(50);
  if (failure) {
    rmSync(folder, { recursive: true });
    throw failure;
  }
  return {
    address,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null) {
        child.kill();
        await once(child, 'exit');
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function answers(address: string): Promise<boolean> {
  const response = await fetch(`http://${address}/v2/`).catch(() => undefined);
  return response?.ok ?? false;
}
