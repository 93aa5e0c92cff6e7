import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fail, say } from './say.mjs';

const name = 'slipway';

/** The system account that the registry runs as when Slipway is started by root. */
export function ensureAccount() {
  if (process.getuid?.() !== 0 || readFileSync('/etc/passwd', 'utf8').includes(`\n${name}:`)) return;
  say(`creating the system account '${name}' …`);
  const args = [
    '--system',
    '--user-group',
    '--no-create-home',
    '--home-dir',
    '/nonexistent',
    '--shell',
    '/usr/sbin/nologin',
  ];
  const { status, stderr } = spawnSync('useradd', [...args, name], { encoding: 'utf8' });
  if (status !== 0) fail(`useradd ${name} failed: ${stderr}`);
}
