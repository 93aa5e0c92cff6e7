import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ClientEnvironment } from '#config/client-environment.ts';
import { Refusal } from '../refusal.ts';

/** Sockets of ssh agents by id, as long as they are wanted. */
export interface OfferedAgents extends AsyncDisposable {
  readonly sockets: ReadonlyMap<string, string>;
}

/**
 * `--ssh default`, `ID=SOCKET` or `ID=KEY,KEY…`. Keys go into an agent of their own, which asks for what unlocks them.
 * Throws `Refusal` for what is not there, and for keys that no agent takes.
 */
export async function offerAgents(
  texts: readonly string[],
  { agentSocket }: Pick<ClientEnvironment, 'agentSocket'>,
): Promise<OfferedAgents> {
  await using opened = new AsyncDisposableStack();
  const sockets = new Map<string, string>();
  for (const text of texts) {
    const [id = '', ...rest] = text.split('=');
    const places = rest.length > 0 ? rest.join('=').split(',') : [agentSocket];
    const [first] = places;
    if (first === undefined || first === '') {
      throw refusal(`--ssh ${text}: no agent runs (SSH_AUTH_SOCK is not set)`);
    }
    const isAgent = places.length === 1 && kindOf(text, first) === 'agent';
    sockets.set(
      id || 'default',
      isAgent ? first : opened.use(await KeyAgent.start(text, places as string[])).socket,
    );
  }
  const closing = opened.move();
  return { sockets, [Symbol.asyncDispose]: () => closing.disposeAsync() };
}

function kindOf(text: string, path: string): 'agent' | 'key' {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isSocket()) return 'agent';
  if (found?.isFile()) return 'key';
  throw refusal(`--ssh ${text}: ${path} is no agent's socket and no key`);
}

/**
 * Of an agent: takes the keys, asking at the terminal for what unlocks them, says so, and ends with our end of its input.
 * The agent would look for that itself, each ten seconds.
 */
const SCRIPT =
  'ssh-add -q -- "$@" && echo ready && cat > /dev/null; code=$?; kill $SSH_AGENT_PID; exit $code';

/** OpenSSH's agent with some keys. It ends with this process, however that ends. */
class KeyAgent implements AsyncDisposable {
  readonly socket: string;
  readonly #folder: string;
  readonly #process;

  private constructor(folder: string, keys: readonly string[]) {
    this.#folder = folder;
    this.socket = join(folder, 'agent');
    const args = ['-a', this.socket, 'sh', '-c', SCRIPT, 'slipway', ...keys];
    this.#process = spawn('ssh-agent', args, { stdio: ['pipe', 'pipe', 'inherit'] });
  }

  static async start(text: string, keys: readonly string[]): Promise<KeyAgent> {
    for (const key of keys) {
      if (kindOf(text, key) === 'agent') throw refusal(`--ssh ${text}: an agent is alone, without keys`);
    }
    const agent = new KeyAgent(await mkdtemp(join(tmpdir(), 'slipway-agent-')), keys);
    try {
      await once(agent.#process, 'spawn');
      const said = once(agent.#process.stdout, 'data').then(() => true);
      const ended = once(agent.#process, 'exit').then(() => false);
      if (await Promise.race([said, ended])) return agent;
      throw refusal(`--ssh ${text}: the agent does not take the key`);
    } catch (error) {
      await agent[Symbol.asyncDispose]();
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      throw refusal('--ssh with keys needs ssh-agent: apt-get install openssh-client');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { pid, exitCode, signalCode } = this.#process;
    if (pid !== undefined && exitCode === null && signalCode === null) {
      this.#process.stdin.end();
      await once(this.#process, 'exit');
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function refusal(message: string): Refusal {
  return new Refusal(message, { exitCode: 2 });
}
