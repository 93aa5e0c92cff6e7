import { invalid } from '#errors/errors.ts';

export interface ModeChange {
  /** Of digits. */
  readonly octal?: number;
  readonly apply: (mode: number, isDirectory: boolean) => number;
}

const CLAUSE = /^([ugoa]*)((?:[-+=][rwxXst]*|[-+=][ugo])+)$/;
const SHIFTS = { u: 6, g: 3, o: 0 } as const;
type Who = keyof typeof SHIFTS;

/** `--chmod`: digits, or clauses as of chmod(1) without its regard for the umask. Throws `invalid`. */
export function modeChange(text: string | undefined): ModeChange | undefined {
  if (text === undefined || text === '') return undefined;
  if (/^[0-7]{1,5}$/.test(text)) {
    const octal = Number.parseInt(text, 8) & 0o7777;
    return { octal, apply: () => octal };
  }
  const clauses = text.split(',').map((clause) => parseClause(clause, text));
  return {
    apply: (mode, isDirectory) => clauses.reduce((changed, change) => change(changed, isDirectory), mode),
  };
}

function parseClause(clause: string, text: string): (mode: number, isDirectory: boolean) => number {
  const match = CLAUSE.exec(clause);
  if (!match) throw invalid(`invalid chmod parameter: '${text}'`);
  const whom =
    match[1] === '' || match[1]!.includes('a') ? (['u', 'g', 'o'] as Who[]) : ([...match[1]!] as Who[]);
  const steps = [...match[2]!.matchAll(/([-+=])([rwxXst]+|[ugo])?/g)];
  return (mode, isDirectory) =>
    steps.reduce((changed, [, operator, permissions = '']) => {
      const bits = bitsOf(permissions, whom, changed, isDirectory);
      if (operator === '+') return changed | bits;
      if (operator === '-') return changed & ~bits;
      return (changed & ~clearedBy(whom, isDirectory)) | bits;
    }, mode);
}

function bitsOf(permissions: string, whom: readonly Who[], mode: number, isDirectory: boolean): number {
  let bits = 0;
  for (const permission of permissions) {
    for (const who of whom) bits |= bitOf(permission, who, mode, isDirectory);
  }
  return bits;
}

function bitOf(permission: string, who: Who, mode: number, isDirectory: boolean): number {
  const shift = SHIFTS[who];
  switch (permission) {
    case 'r':
      return 4 << shift;
    case 'w':
      return 2 << shift;
    case 'x':
      return 1 << shift;
    case 'X':
      return isDirectory || mode & 0o111 ? 1 << shift : 0;
    case 's':
      return who === 'u' ? 0o4000 : who === 'g' ? 0o2000 : 0;
    case 't':
      return 0o1000;
    default:
      return ((mode >> SHIFTS[permission as Who]) & 7) << shift;
  }
}

/** `=` takes all of these away first; a directory keeps its set-id bits, as chmod(1) has it. */
function clearedBy(whom: readonly Who[], isDirectory: boolean): number {
  return whom.reduce((bits, who) => {
    const special = isDirectory ? 0 : who === 'u' ? 0o4000 : who === 'g' ? 0o2000 : 0o1000;
    return bits | (7 << SHIFTS[who]) | special;
  }, 0);
}
