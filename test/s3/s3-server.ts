import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { freePorts } from '../e2e/harness/free-port.ts';

export const S3_SERVERS = ['seaweedfs', 'versitygw', 'minio'] as const;
export type S3ServerName = (typeof S3_SERVERS)[number];

/** Below which servers know their buckets by name; nothing resolves it. */
export const S3_DOMAIN = 's3.test';

/** How to use a server that runs: plain data, for handing to other processes. */
export interface S3Access {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface S3Server extends AsyncDisposable {
  readonly access: S3Access;
}

interface Program {
  readonly file: string;
  /** What to say when it is not there. */
  readonly install: string;
  /** How many ports it takes; the first one is for S3. */
  readonly ports: number;
  command(options: { folder: string; ports: readonly number[]; keys: Keys }): string[];
  readonly env?: (keys: Keys) => Record<string, string>;
  /** What it leaves outside its folder. */
  readonly remains?: (ports: readonly number[]) => string[];
}

interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const goInstall = (module: string) =>
  `GOFLAGS=-buildvcs=false GOBIN="$PWD/.cache/s3-servers" go install ${module}@latest`;

const programs: Readonly<Record<S3ServerName, Program>> = {
  seaweedfs: {
    file: '.cache/seaweedfs/bin/weed',
    install: 'node setup/main.mjs --for test',
    ports: 8,
    command: ({ folder, ports: [s3, s3Grpc, master, masterGrpc, volume, volumeGrpc, filer, filerGrpc] }) => [
      'server',
      `-dir=${folder}/data`,
      '-ip=127.0.0.1',
      '-ip.bind=127.0.0.1',
      `-master.port=${master}`,
      `-master.port.grpc=${masterGrpc}`,
      '-master.volumeSizeLimitMB=1024',
      `-volume.port=${volume}`,
      `-volume.port.grpc=${volumeGrpc}`,
      '-volume.max=100',
      '-filer',
      `-filer.port=${filer}`,
      `-filer.port.grpc=${filerGrpc}`,
      '-s3',
      `-s3.port=${s3}`,
      `-s3.domainName=${S3_DOMAIN}`,
      `-s3.port.grpc=${s3Grpc}`,
      // These would take ports of their own.
      '-s3.port.iceberg=0',
      '-s3.port.lance=0',
      '-master.telemetry=false',
      `-filer.localSocket=${folder}/filer.sock`,
      `-s3.localSocket=${folder}/s3.sock`,
      `-s3.config=${folder}/identities.json`,
    ],
    remains: ([, s3, , master, , volume, , filer]) => [
      `/tmp/seaweedfs-s3-grpc-${s3}.sock`,
      `/tmp/seaweedfs-master-grpc-${master}.sock`,
      `/tmp/seaweedfs-volume-grpc-${volume}.sock`,
      `/tmp/seaweedfs-filer-grpc-${filer}.sock`,
    ],
  },
  versitygw: {
    file: '.cache/s3-servers/versitygw',
    install: goInstall('github.com/versity/versitygw/cmd/versitygw'),
    ports: 1,
    command: ({ folder, ports, keys }) => [
      '--access',
      keys.accessKeyId,
      '--secret',
      keys.secretAccessKey,
      '--port',
      `127.0.0.1:${ports[0]}`,
      '--virtual-domain',
      S3_DOMAIN,
      'posix',
      `${folder}/data`,
    ],
  },
  minio: {
    file: '.cache/s3-servers/minio',
    install: goInstall('github.com/minio/minio'),
    ports: 1,
    command: ({ folder, ports }) => [
      'server',
      '--quiet',
      '--address',
      `127.0.0.1:${ports[0]}`,
      `${folder}/data`,
    ],
    env: (keys) => ({
      MINIO_ROOT_USER: keys.accessKeyId,
      MINIO_ROOT_PASSWORD: keys.secretAccessKey,
      MINIO_DOMAIN: S3_DOMAIN,
    }),
  },
};

/** Starts a real S3 server on loopback, in a folder that goes with it, with a bucket in it. */
export async function startS3Server(name: S3ServerName = 'seaweedfs'): Promise<S3Server> {
  const program = programs[name];
  const file = resolve(program.file);
  if (!existsSync(file))
    throw new Error(`${program.file} is not there; install it with\n  ${program.install}`);
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-s3-'));
  started.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }));
  await mkdir(join(folder, 'data'));
  const keys = { accessKeyId: 'slipway-tests', secretAccessKey: randomUUID() };
  await writeFile(join(folder, 'identities.json'), identities(keys));
  const ports = await freePorts(program.ports);
  const log = join(folder, 'log');
  started.defer(async () => {
    for (const path of program.remains?.(ports) ?? []) await rm(path, { force: true });
  });
  // It ends with this process, however that ends.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', file, ...program.command({ folder, ports, keys })], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...program.env?.(keys) },
  });
  started.defer(() => end(child));
  const output = createWriteStream(log);
  child.stdout.pipe(output, { end: false });
  child.stderr.pipe(output, { end: false });

  const access = {
    endpoint: `http://127.0.0.1:${ports[0]}`,
    region: 'us-east-1',
    bucket: 'slipway',
    ...keys,
  };
  await createBucket(access, () => {
    if (child.exitCode !== null) throw new Error(`${name} ended at its start:\n${readFileSync(log, 'utf8')}`);
  });
  const running = started.move();
  return { access, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

function identities(credentials: Keys): string {
  const { accessKeyId: accessKey, secretAccessKey: secretKey } = credentials;
  const actions = ['Admin', 'Read', 'Write', 'List', 'Tagging'];
  return JSON.stringify({
    identities: [{ name: 'tests', credentials: [{ accessKey, secretKey }], actions }],
  });
}

/** Tries until the server is ready to store something. */
async function createBucket(access: S3Access, check: () => void): Promise<void> {
  const client = new S3Client({
    endpoint: access.endpoint,
    region: access.region,
    credentials: access,
    forcePathStyle: true,
    maxAttempts: 1,
  });
  try {
    for (let tries = 0; ; tries++) {
      try {
        check();
        await client.send(new CreateBucketCommand({ Bucket: access.bucket })).catch(ignoreOwned);
        // The first object of a bucket takes a server a while.
        await client.send(new PutObjectCommand({ Bucket: access.bucket, Key: 'first', Body: 'x' }));
        return;
      } catch (error) {
        check();
        if (tries > 300) throw error;
        await sleep(100);
      }
    }
  } finally {
    client.destroy();
  }
}

function ignoreOwned(error: unknown): void {
  if (!(error instanceof Error && error.name === 'BucketAlreadyOwnedByYou')) throw error;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
