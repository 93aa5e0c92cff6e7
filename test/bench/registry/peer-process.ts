import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts } from '../../e2e/harness/free-port.ts';
import type { Contestant } from './contestant.ts';

export interface PeerProgram {
  readonly name: string;
  readonly program: string;
  /** How to get it. */
  readonly install: string;
  /** What its configuration file, JSON, has in it. */
  settings(options: { address: string; folder: string }): unknown;
}

/** Starts a peer on a folder and a port of its own, and waits until it answers. */
export async function startPeer({ name, program, install, settings }: PeerProgram): Promise<Contestant> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
  const address = `127.0.0.1:${(await freePorts(1))[0]!}`;
  const file = join(folder, 'config.json');
  writeFileSync(file, JSON.stringify(settings({ address, folder })));
  const child = spawn(program, ['serve', file], {
    stdio: 'ignore',
    // Debian's does not start with a CA bundle of AWS's tools.
    env: { ...process.env, OTEL_TRACES_EXPORTER: 'none', AWS_CA_BUNDLE: undefined },
  });
  let failure: Error | undefined;
  child.once('error', () => {
    failure = new Error(`${name} is missing: ${install}`);
  });
  child.once('exit', (code) => {
    failure ??= new Error(`${name} ended with ${code}`);
  });
  while (!failure && !(await answers(address))) await sleep(50);
  if (failure) {
    rmSync(folder, { recursive: true });
    throw failure;
  }
  return {
    name,
    address,
    pid: child.pid!,
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
