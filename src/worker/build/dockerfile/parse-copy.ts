import { DockerfileError } from './dockerfile-error.ts';
import { type FlagKind, readFlags } from './flags.ts';
import { asHeredocWord, chompTabs, type Heredoc } from './heredoc.ts';
import type { CopyInstruction } from './instructions.ts';
import type { PlacedStatement } from './statement.ts';
import { writtenOf } from './written.ts';

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

/** COPY and ADD. Throws `DockerfileError`. */
export function parseCopy(statement: PlacedStatement, name: 'COPY' | 'ADD'): CopyInstruction {
  const words = statement.args;
  if (words.length < 2) {
    throw new DockerfileError(
      `${name} requires at least two arguments, but only one was provided. Destination could not be determined`,
    );
  }
  const flags = readFlags(statement.flags, FLAGS[name]);
  const destination = words.at(-1)!;
  if (asHeredocWord(destination)) {
    throw new DockerfileError(`${name} cannot accept a heredoc as a destination`);
  }
  const documents = new Map(statement.heredocs.map((heredoc) => [heredoc.name, heredoc]));
  const sources = words.slice(0, -1).map((word) => ({ word, heredoc: asHeredocWord(word) }));
  return {
    name,
    sources: sources.filter(({ heredoc }) => !heredoc).map(({ word }) => word),
    destination,
    heredocs: sources.flatMap(({ heredoc }): Heredoc[] => {
      if (!heredoc) return [];
      // In a JSON array it has no content; BuildKit makes an empty file of it.
      const { content = '', range = statement.range } = documents.get(heredoc.name) ?? {};
      return [{ ...heredoc, content: heredoc.chomp ? chompTabs(content) : content, range }];
    }),
    ...given('from', flags.value('from')),
    ...given('chown', flags.value('chown')),
    ...given('chmod', flags.value('chmod')),
    ...given('checksum', flags.value('checksum')),
    exclude: flags.values('exclude'),
    link: flags.boolean('link') ?? false,
    parents: flags.boolean('parents') ?? false,
    ...given('keepGitDir', flags.boolean('keep-git-dir')),
    ...given('unpack', flags.boolean('unpack')),
    ...writtenOf(statement),
  } satisfies CopyInstruction;
}

/** An empty value says as little as none. */
function given<K extends string, V>(name: K, value: V | undefined): { [key in K]?: V } {
  return (value === undefined || value === '' ? {} : { [name]: value }) as { [key in K]?: V };
}
