import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

/** Copies between a new pseudo terminal of 24 rows and 80 columns and our own stdin and stdout. */
const relay = `
import fcntl, os, pty, select, struct, sys, termios
pid, master = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
sources = [master, 0]
while True:
    ready, _, _ = select.select(sources, [], [])
    if 0 in ready:
        data = os.read(0, 65536)
        if data: os.write(master, data)
        else: sources.remove(0)
    if master in ready:
        try: data = os.read(master, 65536)
        except OSError: data = b''
        if not data: break
        os.write(1, data)
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status) % 256)
`;

/** A program on a real terminal, as a person in front of it has it. */
export class Terminal {
  readonly #child;
  #output = '';

  constructor(program: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    this.#child = spawn('python3', ['-c', relay, program, ...args], {
      env: { TERM: 'xterm', ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child.stdin.on('error', () => {});
    this.#child.stdout.setEncoding('utf8').on('data', (data: string) => {
      this.#output += data;
    });
  }

  /** Everything that was on the screen so far. */
  get output(): string {
    return this.#output;
  }

  type(text: string): void {
    this.#child.stdin.write(text);
  }

  /** Waits until the screen has shown this. */
  async shows(pattern: RegExp): Promise<RegExpExecArray> {
    const deadline = Date.now() + 30_000;
    while (true) {
      const match = pattern.exec(this.#output);
      if (match) return match;
      if (this.#child.exitCode !== null)
        throw new Error(`ended without showing ${pattern}:\n${this.#output}`);
      if (Date.now() > deadline) throw new Error(`does not show ${pattern}:\n${this.#output}`);
      await sleep(10);
    }
  }

  /** The exit code, once it has ended by itself. */
  async ends(): Promise<number> {
    const deadline = Date.now() + 30_000;
    while (this.#child.exitCode === null) {
      if (Date.now() > deadline) throw new Error(`does not end:\n${this.#output}`);
      await sleep(10);
    }
    return this.#child.exitCode;
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }
}
