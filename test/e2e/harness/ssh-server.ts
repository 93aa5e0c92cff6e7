import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { succeed } from './command.ts';
import { freePorts } from './free-port.ts';

/** Where Debian's sshd looks for it, whatever its configuration says. */
const PRIVILEGE_SEPARATION = '/run/sshd';

/** OpenSSH's server, which lets git in alone, as this user by one key; and an agent that has the key. */
export class SshServer implements AsyncDisposable {
  readonly port: number;
  readonly agent: string;
  readonly hostKey: string;
  readonly #children: ChildProcess[] = [];
  readonly #folder: string;
  readonly #beside: number | undefined;
  readonly #madeRun: boolean;
  #said = '';

  /** `beside`: in the network of this process, in which it is where everybody expects it, at port 22. */
  static async open(folder: string, { beside }: { beside?: number } = {}): Promise<SshServer> {
    mkdirSync(folder, { mode: 0o700 });
    for (const name of ['host', 'client']) {
      const file = join(folder, name);
      await succeed('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', file]);
    }
    const [port] = beside === undefined ? await freePorts(1) : [22];
    const server = new SshServer(folder, port!, beside);
    try {
      await server.#start();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(folder: string, port: number, beside: number | undefined) {
    this.#folder = folder;
    this.#beside = beside;
    this.port = port;
    this.agent = join(folder, 'agent.sock');
    this.hostKey = readFileSync(join(folder, 'host.pub'), 'utf8').split(' ').slice(0, 2).join(' ');
    this.#madeRun = mkdirSync(PRIVILEGE_SEPARATION, { recursive: true, mode: 0o755 }) !== undefined;
  }

  /** `path`: absolute, on this machine. */
  url(path: string): string {
    return `ssh://root@127.0.0.1:${this.port}${path}`;
  }

  /** What the server has noted: who logged in, and how. */
  get log(): string {
    return this.#said;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill();
      await once(child, 'exit');
    }
    rmSync(this.#folder, { recursive: true, force: true });
    if (this.#madeRun) rmdirSync(PRIVILEGE_SEPARATION);
  }

  async #start(): Promise<void> {
    const file = (name: string) => join(this.#folder, name);
    const settings = {
      ListenAddress: `127.0.0.1:${this.port}`,
      HostKey: file('host'),
      AuthorizedKeysFile: file('client.pub'),
      PidFile: 'none',
      UsePAM: 'no',
      StrictModes: 'no',
      PermitRootLogin: 'prohibit-password',
      PasswordAuthentication: 'no',
      DisableForwarding: 'yes',
      ForceCommand: 'git-shell -c "$SSH_ORIGINAL_COMMAND"',
      LogLevel: 'VERBOSE',
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name} ${value}\n`);
    writeFileSync(file('config'), lines.join(''));
    const there = this.#beside === undefined ? [] : ['nsenter', `--net=/proc/${this.#beside}/ns/net`];
    const sshd = [...there, '/usr/sbin/sshd', '-D', '-e', '-f', file('config')];
    this.#run(sshd[0]!, sshd.slice(1));
    this.#run('ssh-agent', ['-D', '-a', this.agent]);
    await this.#until(async () => this.#said.includes('Server listening on'));
    await this.#until(() => reaches(this.agent));
    await succeed('ssh-add', ['-q', file('client')], {
      env: { ...process.env, SSH_AUTH_SOCK: this.agent },
    });
  }

  #run(program: string, args: readonly string[]): void {
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    child.on('error', (error) => {
      this.#said += `${error.message}: node setup/main.mjs --for test\n`;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
    this.#children.push(child);
  }

  async #until(condition: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (!(await condition())) {
      const ended = this.#children.some(({ exitCode, pid }) => exitCode !== null || pid === undefined);
      if (ended || Date.now() > deadline) throw new Error(`an ssh server does not start:\n${this.#said}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function reaches(path: string): Promise<boolean> {
  const socket = connect({ path });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
