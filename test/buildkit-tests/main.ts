import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { ensureCompiled } from '../../setup/compiled-code.mjs';
import { buildKitProgram } from '../e2e/harness/buildkitd.ts';
import { seedMirror } from './mirror.ts';
import { TestResults } from './test-results.ts';

// npm run buildkit-tests -- BINARY [--only REGEX] [--slice 1-12]: BuildKit's own integration tests, unchanged, against
// Slipway. BINARY is a package's tests, as `go test -c` builds them from the Go module of BuildKit. Their framework
// starts a `buildkitd` for each test: it gets a Slipway worker.

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', default: '.*' },
    slice: { type: 'string' },
    variant: { type: 'string', default: '' },
    timeout: { type: 'string', default: '60m' },
    skip: { type: 'string', default: '' },
    peer: { type: 'string' },
    registry: { type: 'string', default: 'docker-registry' },
    results: { type: 'string' },
  },
});
const [binary] = positionals;
if (binary === undefined || positionals.length > 1) {
  console.error(
    'usage: npm run buildkit-tests -- BINARY [--only REGEX] [--skip REGEX] [--slice 1-12] [--variant /frontend=builtin] [--timeout 60m] [--results FILE] [--registry PROGRAM] [--peer BUILDKITD]',
  );
  process.exit(2);
}
const program = resolve(binary);
try {
  accessSync(program, constants.X_OK);
} catch {
  console.error(`${program} is not a program: build it with go test -c`);
  process.exit(2);
}

ensureCompiled();
const folder = mkdtempSync(join(tmpdir(), 'slipway-bk-'));
try {
  const mirror = join(folder, 'mirror');
  mkdirSync(mirror);
  const path = programs(join(folder, 'bin'));
  await seedMirror(mirror, values.registry);
  const results = await play(path, mirror);
  results.print();
  if (values.results) writeFileSync(values.results, results.text());
  process.exitCode = results.failed.length === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
}

/** The programs that the framework looks for in PATH. */
function programs(bin: string): string {
  mkdirSync(bin);
  const script = (name: string, line: string) =>
    writeFileSync(join(bin, name), `#!/bin/sh\nexec ${line} "$@"\n`, { mode: 0o755 });
  const shim = `env UV_THREADPOOL_SIZE=16 MALLOC_ARENA_MAX=2 ${process.execPath} ${import.meta.dirname}/buildkitd.mjs`;
  script('buildkitd', values.peer ?? shim);
  script('buildctl', buildKitProgram('buildctl'));
  script('registry', values.registry);
  return `${bin}:${process.env.PATH}`;
}

/** Runs the tests and reads what Go's `-test.v` tells of them. */
async function play(path: string, mirror: string): Promise<TestResults> {
  const only = values.slice === undefined ? `(${values.only})` : `slice=${values.slice}/(${values.only})`;
  const args = [
    '-test.v=test2json',
    `-test.timeout=${values.timeout}`,
    `-test.run=Integration$/${only}/worker=oci$${values.variant}`,
  ];
  if (values.skip !== '') args.push(`-test.skip=${values.skip}`);
  const child = spawn(program, args, {
    cwd: folder,
    env: {
      ...process.env,
      PATH: path,
      BUILDKIT_REGISTRY_MIRROR_DIR: mirror,
      BUILDKIT_RUN_NETWORK_INTEGRATION_TESTS: '1',
      OTEL_TRACES_EXPORTER: 'none',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const results = new TestResults(basename(program));
  const exit = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout })) results.read(line);
  const [code] = await exit;
  results.ended(code as number | null);
  endLeftBehind();
  return results;
}

/** A suite that was broken off leaves its registries and workers. */
function endLeftBehind(): void {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      const path = readFileSync(`/proc/${pid}/environ`, 'utf8');
      if (Number(pid) !== process.pid && `${command} ${path}`.includes(folder)) process.kill(Number(pid));
    } catch {
      // It has ended meanwhile.
    }
  }
}
