import { DockerfileError } from './dockerfile-error.ts';

/** What COPY's and ADD's `--chmod` do to a mode (`0o7777`). */
export interface ModeChange {
  /** For digits: every mode becomes this. */
  readonly octal?: number;
  readonly apply: (mode: number, isDirectory: boolean) => number;
}

/** One change; `original` is the mode before all changes, which `X` goes by. */
type Step = (mode: number, original: number, isDirectory: boolean) => number;
type Operator = '+' | '-' | '=';

const SET_IDS = 0o6000;
const STICKY = 0o1000;
const EXECUTE = 0o111;
/** All that `=` without a class of users clears; the sticky bit stays. */
const STANDARD = 0o6777;
const CLASSES: Readonly<Record<string, number>> = { u: 0o4700, g: 0o2070, o: 0o0007, a: STANDARD };
const PERMISSIONS: Readonly<Record<string, number>> = { r: 0o444, w: 0o222, x: 0o111 };
const SHIFTS: Readonly<Record<string, number>> = { u: 6, g: 3, o: 0 };

/**
 * Reads octal digits, or clauses as of chmod(1) in BSD's understanding of it, without a umask: BuildKit's. Throws
 * `DockerfileError`.
 */
export function parseChmod(text: string): ModeChange {
  if (!/^[0-9]/.test(text)) return symbolicChange(text);
  const octal = /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Infinity;
  if (octal > 0o7777) {
    throw new DockerfileError(
      `invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`,
    );
  }
  return { octal, apply: () => octal };
}

function symbolicChange(text: string): ModeChange {
  const steps = text.split(',').flatMap(clauseSteps);
  return {
    apply: (mode, isDirectory) =>
      steps.reduce((changed, step) => step(changed, mode, isDirectory), mode) & 0o7777,
  };
}

function clauseSteps(clause: string): Step[] {
  const match = /^([ugoa]*)((?:[-+=][rwxXstugo]*)+)$/.exec(clause);
  if (!match) throw new DockerfileError('invalid syntax');
  const users = [...match[1]!].reduce((bits, letter) => bits | CLASSES[letter]!, 0);
  return [...match[2]!.matchAll(/([-+=])([rwxXstugo]*)/g)].flatMap(([, operator, permissions]) =>
    operationSteps(users, operator as Operator, permissions!),
  );
}

/** `users`: bits of the classes that were named; 0 for none, which means all of them. */
function operationSteps(users: number, operator: Operator, permissions: string): Step[] {
  const steps: Step[] = [];
  let who = users;
  let bits = 0;
  let conditional = 0;
  let assigned = false;
  const flush = (last: boolean) => {
    if (bits !== 0 || (last && operator === '=' && !assigned)) {
      if (last && operator === '=') assigned = true;
      steps.push(changeOf(operator, who, bits));
    }
    if (!last && operator === '=') assigned = true;
    if (conditional !== 0) steps.push(executeIfAny(who === 0 ? conditional : conditional & who));
    bits = 0;
    conditional = 0;
  };
  for (const letter of permissions) {
    if (letter in SHIFTS) {
      flush(false);
      steps.push(copyFrom(letter, who, operator));
    } else if (letter === 'X' && operator !== '-') conditional = EXECUTE;
    else if (letter === 's') bits |= isForOthersOnly(who) ? 0 : SET_IDS;
    else if (letter === 't') {
      if (isForOthersOnly(who)) continue;
      who |= STICKY;
      bits |= STICKY;
    } else bits |= PERMISSIONS[letter.toLowerCase()]!;
  }
  flush(true);
  return steps;
}

function isForOthersOnly(who: number): boolean {
  return who !== 0 && (who & ~CLASSES.o!) === 0;
}

function changeOf(operator: Operator, who: number, permissions: number): Step {
  const bits = who === 0 ? permissions : permissions & who;
  if (operator === '-') return (mode) => mode & ~bits;
  const cleared = operator === '+' ? 0 : who === 0 ? STANDARD : who;
  return (mode) => (mode & ~cleared) | bits;
}

function executeIfAny(bits: number): Step {
  return (mode, original, isDirectory) => (isDirectory || (original & EXECUTE) !== 0 ? mode | bits : mode);
}

/** `g=u`: the permissions of one class of users for others. */
function copyFrom(letter: string, who: number, operator: Operator): Step {
  const targets = Object.entries(SHIFTS).filter(
    ([target]) => who === 0 || (who & CLASSES[target]! & 0o444) !== 0,
  );
  return (mode) => {
    const value = (mode >> SHIFTS[letter]!) & 7;
    return targets.reduce((changed, [, shift]) => {
      if (operator === '+') return changed | (value << shift);
      if (operator === '-') return changed & ~(value << shift);
      return (changed & ~(7 << shift)) | (value << shift);
    }, mode);
  };
}
