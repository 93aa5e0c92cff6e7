import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type CommandResult, run } from './harness/command.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-setup-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs a program as nobody, who may read what root may, where the host lacks three packages. */
function lacking(...command: string[]): Promise<CommandResult> {
  const nobody =
    'setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +dac_override --ambient-caps +dac_override';
  const script = `set -e
mount -t tmpfs tmpfs ${folder}
mkdir ${folder}/upper ${folder}/work
mount -t overlay overlay -o lowerdir=/usr,upperdir=${folder}/upper,workdir=${folder}/work /usr
rm /usr/sbin/runc /usr/bin/conmon /usr/bin/socat
exec ${nobody} "$@"`;
  const env = { PATH: process.env.PATH, HOME: folder };
  // In mounts of its own: the host keeps what it has.
  return run('unshare', ['--mount', 'sh', '-c', script, 'sh', ...command], { env, cwd: project });
}

it('names what the host lacks in one line to who may not install it', async () => {
  // The step of the set-up that is about Debian's packages; the others would write into this folder as nobody.
  const step = `import('./setup/debian-packages.mjs').then((it) => it.ensureDebianPackages('start'))`;
  const { code, stdout, stderr } = await lacking(process.execPath, '--eval', step);
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
  expect(stderr).toBe(
    'setup: this host lacks what the worker needs; as root: ' +
      'apt-get install --no-install-recommends runc conmon socat\n',
  );
});

it('has slipway doctor say what is missing, what for and how to get it', async () => {
  const { code, stdout } = await lacking('bin/slipway', 'doctor');
  expect(code).toBe(1);
  for (const name of ['runc', 'conmon', 'socat'])
    expect(stdout).toMatch(new RegExp(`^missing +${name}: .+ To get it: apt-get install ${name}$`, 'm'));
  expect(stdout).toMatch(/^missing +root: /m);
});
