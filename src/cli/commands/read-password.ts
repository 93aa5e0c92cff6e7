import { Refusal } from '../refusal.ts';

/** More is not a password. */
const MAX_BYTES = 4096;
const [INTERRUPT, END, BACKSPACE, DELETE] = ['\u0003', '\u0004', '\b', '\u007f'];

/**
 * A password from a terminal, unseen and twice, or the first line of standard input. Never from the command line, which
 * every user of this machine can read. Throws `Refusal`.
 */
export async function readPassword(): Promise<string> {
  if (!process.stdin.isTTY) return await firstLine();
  const [password, again] = [await ask('Password: '), await ask('Again: ')];
  if (password !== again) throw new Refusal('these are not the same');
  return password;
}

async function firstLine(): Promise<string> {
  let text = '';
  process.stdin.setEncoding('utf8');
  for await (const chunk of process.stdin) {
    text += chunk;
    if (text.includes('\n') || text.length > MAX_BYTES) break;
  }
  const password = text.split('\n')[0]!.replace(/\r$/, '');
  if (password === '' || password.length > MAX_BYTES) {
    throw new Refusal('expected a password on standard input, such as from a file: < password.txt');
  }
  return password;
}

async function ask(prompt: string): Promise<string> {
  const { stdin, stderr } = process;
  stderr.write(prompt);
  stdin.setEncoding('utf8').setRawMode(true).resume();
  try {
    return await new Promise<string>((resolve, reject) => {
      let typed = '';
      const onData = (text: string) => {
        for (const key of text) {
          if (key === INTERRUPT) return done(() => reject(new Refusal('canceled', { exitCode: 130 })));
          if (key === '\r' || key === '\n' || key === END) return done(() => resolve(typed));
          if (key === BACKSPACE || key === DELETE) typed = [...typed].slice(0, -1).join('');
          else typed += key;
        }
      };
      const done = (settle: () => void) => {
        stdin.off('data', onData);
        settle();
      };
      stdin.on('data', onData);
    });
  } finally {
    stdin.setRawMode(false).pause();
    stderr.write('\n');
  }
}
