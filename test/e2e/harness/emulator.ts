import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { succeed } from './command.ts';

const TABLE = '/proc/sys/fs/binfmt_misc';
const DEFINITION = '/usr/lib/binfmt.d/qemu-aarch64.conf';

/** The kernel starts programs for arm64 by QEMU, as with Debian's qemu-user-static. Disposing takes back what was not so before. */
export class Emulator implements AsyncDisposable {
  readonly #handler = `${TABLE}/qemu-aarch64`;
  readonly #undo: (() => Promise<unknown>)[] = [];

  static async register(): Promise<Emulator> {
    const emulator = new Emulator();
    try {
      await emulator.#register();
      return emulator;
    } catch (error) {
      await emulator[Symbol.asyncDispose]();
      throw error;
    }
  }

  set enabled(enabled: boolean) {
    writeFileSync(this.#handler, enabled ? '1' : '0');
  }

  async #register(): Promise<void> {
    if (!existsSync(DEFINITION)) throw new Error('QEMU is missing: apt-get install qemu-user-static');
    if (!existsSync(`${TABLE}/register`)) {
      await succeed('mount', ['-t', 'binfmt_misc', 'binfmt_misc', TABLE]);
      this.#undo.unshift(() => succeed('umount', [TABLE]));
    }
    if (existsSync(this.#handler)) return;
    writeFileSync(`${TABLE}/register`, readFileSync(DEFINITION));
    this.#undo.unshift(async () => writeFileSync(this.#handler, '-1'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const step of this.#undo.splice(0)) await step();
  }
}
