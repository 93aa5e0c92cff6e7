import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Debian's docker-registry with the settings that its package ships, on a folder and port of its own. */
export async function startDebianRegistry(port: number): Promise<AsyncDisposable & { address: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
  const address = `127.0.0.1:${port}`;
  const settings = {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: {
      cache: { blobdescriptor: 'inmemory' },
      filesystem: { rootdirectory: join(folder, 'data') },
      delete: { enabled: true },
    },
    http: { addr: address },
  };
  writeFileSync(join(folder, 'config.yml'), JSON.stringify(settings));
  const child = spawn('docker-registry', ['serve', join(folder, 'config.yml')], {
    stdio: 'ignore',
    env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' },
  });
  let failure: Error | undefined;
  child.once('error', () => {
    failure = new Error('the peer is missing: apt-get install --no-install-recommends docker-registry');
  });
  while (!failure && !(await answers(address))) await sleep(50);
  if (failure) {
    rmSync(folder, { recursive: true });
    throw failure;
  }
  return {
    address,
    async [Symbol.asyncDispose]() {
      child.kill();
      await once(child, 'exit');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function answers(address: string): Promise<boolean> {
  const response = await fetch(`http://${address}/v2/`).catch(() => undefined);
  return response?.ok ?? false;
}
