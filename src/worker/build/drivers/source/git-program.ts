import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isKind, tooLarge, unavailable } from '#errors/errors.ts';
import { runProgram } from '#worker/runtime/process/run-program.ts';
import type { BuildSession } from '../../session/build-session.ts';
import type { AddressPolicy } from './address-policy.ts';
import type { GitRequest } from './git-remote.ts';
import { PolicyProxy } from './policy-proxy.ts';

/** What no repository, and no configuration of this machine, may turn on. */
const CONFIG = [
  ['core.hooksPath', '/dev/null'],
  ['core.fsmonitor', 'false'],
  ['core.sshCommand', ''],
  ['credential.helper', ''],
  // What is fetched is one file, which has a greatest size.
  ['fetch.unpackLimit', '1'],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['protocol.version', '2'],
  ['submodule.recurse', 'false'],
  ['advice.detachedHead', 'false'],
  ['init.defaultBranch', 'master'],
] as const;

/** git(1), and what it is run with. */
export interface GitTools {
  readonly git: string;
  /** Only needed where there are addresses that it may not connect to. */
  readonly socat: string | undefined;
  readonly policy: AddressPolicy;
  /** No file that it writes is larger. */
  readonly maxBytes: number;
}

export interface GitOptions {
  readonly gitDir?: string;
  readonly workTree?: string;
  readonly index?: string;
  readonly local?: boolean;
  /** Hears what it prints, which is then not answered. What it throws ends git. */
  readonly hear?: (text: string) => void;
}

/**
 * git(1) for one source: with the client's credentials for its host, and nothing of this machine's configuration.
 * Disposed of, sockets and files that it was given are gone.
 */
export class GitProgram implements AsyncDisposable {
  readonly #tools: GitTools;
  readonly #proxy: PolicyProxy | undefined;
  readonly #env: Readonly<Record<string, string>>;
  readonly #config: readonly (readonly [string, string])[];
  readonly #signal: AbortSignal;
  readonly #opened: AsyncDisposableStack;

  private constructor(
    tools: GitTools,
    made: {
      proxy: PolicyProxy | undefined;
      env: Readonly<Record<string, string>>;
      config: readonly (readonly [string, string])[];
      signal: AbortSignal;
      opened: AsyncDisposableStack;
    },
  ) {
    this.#tools = tools;
    this.#proxy = made.proxy;
    this.#env = made.env;
    this.#config = made.config;
    this.#signal = made.signal;
    this.#opened = made.opened;
  }

  /** `directory` is for what it is given. Throws as the session does when an agent is not there. */
  static async open(
    tools: GitTools,
    request: GitRequest,
    { directory, session, signal }: { directory: string; session: BuildSession; signal: AbortSignal },
  ): Promise<GitProgram> {
    await using opened = new AsyncDisposableStack();
    const home = await mkdtemp(join(directory, 'git-'));
    opened.defer(() => rm(home, { recursive: true, force: true }));
    const ssh = ['ssh', '-F', '/dev/null', '-o', 'BatchMode=yes'];
    if (request.knownHosts) {
      await writeFile(join(home, 'known_hosts'), request.knownHosts, { mode: 0o600 });
      ssh.push('-o', `UserKnownHostsFile=${home}/known_hosts`, '-o', 'StrictHostKeyChecking=yes');
    } else {
      ssh.push('-o', 'UserKnownHostsFile=/dev/null', '-o', 'StrictHostKeyChecking=no');
    }
    const config: [string, string][] = [];
    let proxy: PolicyProxy | undefined;
    if (tools.policy.restricts) {
      proxy = opened.use(await PolicyProxy.open(tools.policy));
      const connector = await writeConnector(home, tools.socat, proxy.port);
      config.push(['http.proxy', `http://127.0.0.1:${proxy.port}`], ['core.gitProxy', connector]);
      ssh.push('-o', `'ProxyCommand=${connector} %h %p'`);
    }
    let socket: string | undefined;
    if (request.agent) {
      const wish = { directory: home, uid: 0, gid: 0, mode: 0o600, signal };
      socket = opened.use(await session.agent(request.agent, wish)).path;
    }
    const header = await authorization(request, session, signal);
    if (header) config.push([`http.${scopeOf(request.remote)}.extraheader`, header]);
    const env = {
      PATH: '/usr/local/bin:/usr/bin:/bin',
      LC_ALL: 'C',
      HOME: home,
      XDG_CONFIG_HOME: home,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_ATTR_NOSYSTEM: '1',
      GIT_TERMINAL_PROMPT: '0',
      GIT_ASKPASS: 'true',
      GIT_ALLOW_PROTOCOL: 'https:http:ssh:git',
      GIT_SSH_COMMAND: ssh.join(' '),
      ...(socket && { SSH_AUTH_SOCK: socket }),
    };
    return new GitProgram(tools, { proxy, env, config, signal, opened: opened.move() });
  }

  /**
   * What a command prints. Throws `unavailable` with what it complains about, `forbidden` where it may not connect to,
   * `too-large`.
   */
  async run(args: readonly string[], options: GitOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.#run(args, options);
    if (code === 0) return stdout;
    if (this.#proxy?.refusal) throw this.#proxy.refusal;
    if (stderr.includes('File too large')) {
      throw tooLarge(`the repository has a file or a pack of more than ${this.#tools.maxBytes} bytes`);
    }
    throw unavailable(`git ${args.find((arg) => !arg.startsWith('-'))} failed: ${tidy(stderr)}`);
  }

  /** Whether a command succeeds. */
  async test(args: readonly string[], options: { gitDir?: string } = {}): Promise<boolean> {
    return (await this.#run(args, options)).code === 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened.disposeAsync();
  }

  async #run(args: readonly string[], { gitDir, workTree, index, local, hear }: GitOptions) {
    // In the environment, not among the arguments: those everybody on the machine may read.
    const config = [...CONFIG, ...this.#config].flatMap(([key, value], at) => [
      [`GIT_CONFIG_KEY_${at}`, key],
      [`GIT_CONFIG_VALUE_${at}`, value],
    ]);
    const env = {
      ...this.#env,
      ...Object.fromEntries(config),
      GIT_CONFIG_COUNT: String(config.length / 2),
      ...(gitDir && { GIT_DIR: gitDir }),
      ...(workTree && { GIT_WORK_TREE: workTree }),
      ...(index && { GIT_INDEX_FILE: index }),
      // From one directory of ours to another.
      ...(local && { GIT_ALLOW_PROTOCOL: 'file' }),
    };
    const blocks = String(Math.ceil(this.#tools.maxBytes / 512));
    const limited = ['-c', 'trap "" XFSZ && ulimit -f "$0" && exec "$@"', blocks, this.#tools.git, ...args];
    const options = { env, cwd: workTree ?? '/', signal: this.#signal, ...(hear && { hear }) };
    return runProgram('/bin/sh', limited, options);
  }
}

/** A program that connects its standard streams with a host and a port, by way of the proxy. */
async function writeConnector(home: string, socat: string | undefined, port: number): Promise<string> {
  if (!socat) throw unavailable('git sources need socat where builds may not go everywhere');
  const path = join(home, 'connect');
  const lines = [
    '#!/bin/sh',
    // A comma would begin an option of socat's.
    'case "$1$2" in *[!A-Za-z0-9._-]*) echo "cannot connect to $1" >&2; exit 1;; esac',
    `exec ${socat} - "PROXY:127.0.0.1:$1:$2,proxyport=${port}"`,
  ];
  await writeFile(path, `${lines.join('\n')}\n`, { mode: 0o700 });
  return path;
}

async function authorization(
  { remote, host, tokenSecret, headerSecret }: GitRequest,
  session: BuildSession,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (!/^https?:/.test(remote) || !session.offers('secret')) return undefined;
  for (const [name, isToken] of [
    [headerSecret && `${headerSecret}.${host}`, false],
    [tokenSecret && `${tokenSecret}.${host}`, true],
    [headerSecret, false],
    [tokenSecret, true],
  ] as const) {
    if (!name) continue;
    try {
      const value = Buffer.from(await session.secret(name, { signal }))
        .toString('utf8')
        .trim();
      const basic = () => `basic ${Buffer.from(`x-access-token:${value}`).toString('base64')}`;
      return `Authorization: ${isToken ? basic() : value}`;
    } catch (error) {
      if (!isKind(error, 'not-found')) throw error;
    }
  }
  return undefined;
}

/** A token is for one repository; for one of GitHub's, submodules that live there too are reached with it. */
function scopeOf(remote: string): string {
  return /^https:\/\/(?:www\.)?github\.com\//.exec(remote)?.[0] ?? remote;
}

/** What git said, without what only its maker wants to know, nor credentials. */
function tidy(stderr: string): string {
  return stderr
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => line.replace(/:\/\/[^/@\s]*@/g, '://'))
    .slice(-5)
    .join('; ');
}
