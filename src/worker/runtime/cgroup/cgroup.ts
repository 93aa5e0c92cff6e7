import { existsSync } from 'node:fs';
import { readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { conflict, systemCode } from '#errors/errors.ts';

const ROOT = '/sys/fs/cgroup';
const FREEZE_TIMEOUT = 10_000;

/** The control group of one container, on v1 (one directory a controller) and v2 (one directory). */
export class Cgroup {
  readonly #path: string;
  readonly #unified: boolean;

  /** `path` as the OCI configuration has it: `/slipway/<id>`. */
  constructor(path: string) {
    this.#path = path;
    this.#unified = existsSync(join(ROOT, 'cgroup.controllers'));
  }

  /** Everything in it and in the groups that the container made below it. */
  async pids(): Promise<number[]> {
    return pidsBelow(this.directory('pids'));
  }

  /** The directory in which `controller`'s files are. */
  directory(controller: string): string {
    return this.#unified ? join(ROOT, this.#path) : join(ROOT, controller, this.#path);
  }

  /** Resolves when nothing in it runs any more. */
  async freeze(): Promise<void> {
    await this.#setFrozen(true);
  }

  async thaw(): Promise<void> {
    await this.#setFrozen(false);
  }

  /** How often the kernel killed in it for want of memory. */
  async oomKills(): Promise<number> {
    const file = this.#unified ? 'memory.events' : 'memory.oom_control';
    const text = await readFile(join(this.directory('memory'), file), 'utf8').catch(() => '');
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
  }

  /** Kills all that is in it, also what forks meanwhile. */
  async kill(): Promise<void> {
    await this.thaw().catch(() => undefined);
    for (let round = 0; round < 100; round++) {
      const pids = await this.pids();
      if (pids.length === 0) return;
      for (const pid of pids) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It was faster.
        }
      }
      await delay(5 + round);
    }
  }

  /** Removes its directories, in which nothing runs; false when some of them resist. */
  async remove(): Promise<boolean> {
    const removed = await Promise.all(
      (await this.#bases()).map((base) => removeTree(join(base, this.#path))),
    );
    return removed.every(Boolean);
  }

  /** Removes its directories, unless somebody has others below them. */
  async removeEmpty(): Promise<void> {
    await Promise.all(
      (await this.#bases()).map((base) => rmdir(join(base, this.#path)).catch(() => undefined)),
    );
  }

  async #bases(): Promise<string[]> {
    return this.#unified ? [ROOT] : (await readdir(ROOT)).map((controller) => join(ROOT, controller));
  }

  async #setFrozen(frozen: boolean): Promise<void> {
    const directory = this.directory('freezer');
    const [file, value, report, done] = this.#unified
      ? ['cgroup.freeze', frozen ? '1' : '0', 'cgroup.events', frozen ? /^frozen 1$/m : /^frozen 0$/m]
      : ['freezer.state', frozen ? 'FROZEN' : 'THAWED', 'freezer.state', frozen ? /^FROZEN/ : /^THAWED/];
    const deadline = Date.now() + FREEZE_TIMEOUT;
    try {
      for (let round = 1; ; round++) {
        await writeFile(join(directory, file), value);
        if (done.test(await readFile(join(directory, report), 'utf8'))) return;
        if (Date.now() > deadline) break;
        // v1 can stay half frozen, one process waiting for another that is frozen already: let them go on a bit.
        if (frozen && !this.#unified && round % 10 === 0) await writeFile(join(directory, file), 'THAWED');
        await delay(1);
      }
    } catch (error) {
      if (systemCode(error) === 'ENOENT') throw conflict('the container is not running');
      throw error;
    }
    if (frozen) await writeFile(join(directory, file), this.#unified ? '0' : 'THAWED');
    throw conflict(
      `the container could not be ${frozen ? 'paused' : 'resumed'} within ${FREEZE_TIMEOUT / 1000} s`,
    );
  }
}

async function pidsBelow(directory: string): Promise<number[]> {
  const text = await readFile(join(directory, 'cgroup.procs'), 'utf8').catch(() => '');
  const own = text.split('\n').filter(Boolean).map(Number);
  const below = await Promise.all((await childrenOf(directory)).map(pidsBelow));
  return [...own, ...below.flat()];
}

async function removeTree(directory: string): Promise<boolean> {
  for (const child of await childrenOf(directory)) await removeTree(child);
  for (let attempt = 0; attempt < 8; attempt++) {
    try {
      await rmdir(directory);
      return true;
    } catch (error) {
      // Busy for a moment after its last process has gone.
      if (systemCode(error) === 'ENOENT') return true;
      if (systemCode(error) !== 'EBUSY') return false;
      await delay(2 ** attempt);
    }
  }
  return false;
}

async function childrenOf(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(directory, entry.name));
}
