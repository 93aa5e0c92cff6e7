import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';

const run = promisify(execFile);

/** A PostgreSQL of this test's own, on loopback, in a folder that goes with it. */
export class PostgresServer implements AsyncDisposable {
  readonly #folder: string;
  readonly #port: number;
  readonly #binaries: string;
  #process: ReturnType<typeof spawn> | undefined;
  #databases = 0;
  readonly #durable: boolean;

  /** `durable`: set up as for people's data, to be measured. */
  static async start({ durable = false } = {}): Promise<PostgresServer> {
    const binaries = findBinaries();
    const folder = await mkdtemp(join(tmpdir(), 'slipway-postgres-'));
    const server = new PostgresServer(folder, await freePort(), { binaries, durable });
    try {
      await mkdir(join(folder, 'data'));
      await copyCluster(await emptyCluster(binaries), join(folder, 'data'));
      await give(folder);
      await server.resume();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(
    folder: string,
    port: number,
    { binaries, durable }: { binaries: string; durable: boolean },
  ) {
    this.#folder = folder;
    this.#port = port;
    this.#binaries = binaries;
    this.#durable = durable;
  }

  url(database: string): string {
    return `postgres://postgres@127.0.0.1:${this.#port}/${database}`;
  }

  /** Makes a database, as a copy of another one (to which nothing may be connected), and returns its URL. */
  async createDatabase(template = 'template0'): Promise<string> {
    const name = `test_${++this.#databases}`;
    await this.query(`create database ${name} template ${template}`);
    return this.url(name);
  }

  /** Runs SQL as the superuser, in the database `postgres` unless another one is named. */
  async query(sql: string, database = 'postgres'): Promise<Record<string, unknown>[]> {
    const client = new pg.Client({ connectionString: this.url(database) });
    client.on('error', () => {});
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  }

  /** Ends the server: `SIGINT` breaks off what is under way, `SIGQUIT` is as a crash, `SIGKILL` one of all its processes. */
  async stop(signal: 'SIGINT' | 'SIGQUIT' | 'SIGKILL' = 'SIGINT'): Promise<void> {
    const server = this.#process;
    this.#process = undefined;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    const sessions = signal === 'SIGKILL' ? childrenOf(server.pid!) : [];
    server.kill(signal);
    for (const pid of sessions) signalTo(pid, 'SIGKILL');
    await ended;
  }

  /** Stops all its processes where they are, until that is disposed. */
  freeze(): Disposable {
    const main = this.#process?.pid;
    if (main === undefined) throw new Error('PostgreSQL does not run');
    // Itself first: it starts no more of them then.
    signalTo(main, 'SIGSTOP');
    const frozen = [main, ...childrenOf(main)];
    for (const pid of frozen) signalTo(pid, 'SIGSTOP');
    return { [Symbol.dispose]: () => frozen.forEach((pid) => void signalTo(pid, 'SIGCONT')) };
  }

  /** Starts it (again), on the same port with the same data. */
  async resume(): Promise<void> {
    const settings = {
      port: this.#port,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      max_connections: 100,
      // The tests' machines do not lose power, and tests make many databases.
      ...(this.#durable
        ? { shared_buffers: '128MB' }
        : { fsync: 'off', shared_buffers: '16MB', autovacuum_naptime: '1h' }),
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const account = await accountOfServer();
    // It ends with this process, however that ends.
    this.#process = spawn(
      'setpriv',
      ['--pdeathsig', 'QUIT', ...as(account), join(this.#binaries, 'postgres'), '-D', 'data', ...flags],
      { cwd: this.#folder, stdio: 'ignore' },
    );
    const exited = once(this.#process, 'exit').then(() => {
      throw new Error(`PostgreSQL in ${this.#folder} ended at its start`);
    });
    exited.catch(() => {});
    for (let tries = 0; ; tries++) {
      try {
        await Promise.race([this.query('select 1'), exited]);
        return;
      } catch (error) {
        if (tries > 300 || this.#process.exitCode !== null) throw error;
        await sleep(50);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGQUIT');
    await rm(this.#folder, { recursive: true, force: true });
  }
}

const CACHE = resolve('.cache/postgres');

/** A new cluster takes a second to make and a moment to copy: it is made once. */
async function emptyCluster(binaries: string): Promise<string> {
  const version = /\/(\d+)\/bin$/.exec(binaries)?.[1] ?? 'host';
  const cached = join(CACHE, version);
  if (existsSync(cached)) return cached;
  await mkdir(CACHE, { recursive: true });
  const folder = await mkdtemp(join(tmpdir(), 'slipway-initdb-'));
  try {
    await give(folder);
    const initdb = [join(binaries, 'initdb'), '-D', 'data', '-U', 'postgres', '-A', 'trust', '-E', 'UTF8'];
    const account = await accountOfServer();
    await run('setpriv', [...as(account), ...initdb, '--locale=C.UTF-8', '--no-sync'], { cwd: folder });
    const copy = await mkdtemp(join(CACHE, 'new-'));
    await copyCluster(join(folder, 'data'), copy);
    // Whoever comes second finds it there.
    await rename(copy, cached).catch(() => rm(copy, { recursive: true, force: true }));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return cached;
}

function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return children.split(' ').filter(Boolean).map(Number);
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended by itself.
  }
}

async function copyCluster(from: string, to: string): Promise<void> {
  await run('cp', ['-a', `${from}/.`, to]);
  await chmod(to, 0o700);
}

/** The server refuses to run as root; Debian's package brings an account for it. */
async function accountOfServer(): Promise<{ uid: string; gid: string } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const id = async (flag: string) => (await run('id', [flag, 'postgres'])).stdout.trim();
  return { uid: await id('-u'), gid: await id('-g') };
}

function as(account: { uid: string; gid: string } | undefined): string[] {
  return account ? ['--reuid', account.uid, '--regid', account.gid, '--clear-groups', '--'] : ['--'];
}

/** With all that is in it: a cache that was restored from an archive may belong to somebody else. */
async function give(folder: string): Promise<void> {
  const account = await accountOfServer();
  if (account) await run('chown', ['-R', `${account.uid}:${account.gid}`, folder]);
}

/** `/usr/lib/postgresql/<version>/bin`, the newest. */
function findBinaries(): string {
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root) ? readdirSync(root).filter((it) => /^\d+$/.test(it)) : [];
  const [newest] = versions.toSorted((a, b) => Number(b) - Number(a));
  const folder = `${root}/${newest}/bin`;
  if (newest && statSync(join(folder, 'initdb'), { throwIfNoEntry: false })) return folder;
  throw new Error('PostgreSQL is not installed: apt-get install --no-install-recommends postgresql');
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
