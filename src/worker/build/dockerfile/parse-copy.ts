import { DockerfileError } from './dockerfile-error.ts';
import { type FlagKind, readFlags } from './flags.ts';
import { chompTabs, type Heredoc, parseHeredocWord } from './heredoc.ts';
import type { CopyInstruction, Instruction } from './instructions.ts';
import type { RawInstruction } from './parse-instruction.ts';
import { jsonStrings, splitWords } from './words.ts';

const COMMON: Readonly<Record<string, FlagKind>> = {
  chown: 'value',
  chmod: 'value',
  link: 'boolean',
  exclude: 'values',
};
const FLAGS: Readonly<Record<'COPY' | 'ADD', Readonly<Record<string, FlagKind>>>> = {
  COPY: { ...COMMON, from: 'value', parents: 'boolean' },
  ADD: { ...COMMON, checksum: 'value', 'keep-git-dir': 'boolean', unpack: 'boolean' },
};

export function parseCopy(raw: RawInstruction, name: 'COPY' | 'ADD'): Instruction {
  const flags = readFlags(raw.flags, FLAGS[name]);
  const json = jsonStrings(raw.rest);
  const words = json ?? splitWords(raw.rest, raw.escapeToken);
  if (words.length < 2) {
    throw new DockerfileError(
      words.length === 0
        ? `${name} requires at least two arguments`
        : `${name} requires at least two arguments, but only one was provided. Destination could not be determined.`,
    );
  }
  const isHeredoc = (word: string) => !json && parseHeredocWord(word, raw.escapeToken) !== undefined;
  const destination = words.at(-1)!;
  if (isHeredoc(destination)) throw new DockerfileError(`${name} cannot write to a heredoc`);
  return {
    name,
    sources: words.slice(0, -1).filter((word) => !isHeredoc(word)),
    destination,
    heredocs: json ? [] : raw.heredocs.map(chomped),
    ...optional('from', flags.value('from')),
    ...optional('chown', flags.value('chown')),
    ...optional('chmod', flags.value('chmod')),
    ...optional('checksum', flags.value('checksum')),
    exclude: flags.values('exclude'),
    link: flags.boolean('link'),
    parents: flags.boolean('parents'),
    keepGitDir: flags.boolean('keep-git-dir'),
    ...(raw.flags.some((flag) => flag.startsWith('--unpack')) && { unpack: flags.boolean('unpack') }),
    ...raw.written,
  } satisfies CopyInstruction;
}

function chomped(heredoc: Heredoc): Heredoc {
  return heredoc.chomp ? { ...heredoc, content: chompTabs(heredoc.content) } : heredoc;
}

function optional<K extends string>(name: K, value: string | undefined): { [key in K]?: string } {
  return (value === undefined ? {} : { [name]: value }) as { [key in K]?: string };
}
