import { csvFields } from './csv.ts';
import { DockerfileError } from './dockerfile-error.ts';
import { parseBoolean, parseSize, parseUint32 } from './go-number.ts';
import { goQuote } from './go-quote.ts';
import { didYouMean } from './suggestion.ts';

/** A `--mount` of RUN whose variables are not expanded yet, which any option but `from` may have. */
export interface RunMount {
  /** As written. */
  readonly text: string;
  /** The stage, named context or image that it is of. */
  readonly from?: string;
}

const TYPES = ['bind', 'cache', 'tmpfs', 'secret', 'ssh'] as const;
const SHARING = ['shared', 'private', 'locked'] as const;
export type MountType = (typeof TYPES)[number];
export type CacheSharing = (typeof SHARING)[number];

/** A mount of RUN as a build does it (Dockerfile reference, "RUN --mount"). What is not said is left out. */
export interface Mount {
  readonly type: MountType;
  readonly from?: string;
  readonly source?: string;
  readonly target?: string;
  readonly readOnly: boolean;
  /** Bytes, of a tmpfs. */
  readonly sizeLimit?: number;
  readonly id?: string;
  readonly sharing?: CacheSharing;
  readonly required: boolean;
  /** The variable that a secret is put into. */
  readonly env?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

type Draft = { -readonly [key in keyof Mount]: Mount[key] } & { readOnlySaid?: boolean };

const OPTIONS: readonly string[] = [
  ...['type', 'from', 'source', 'target', 'readonly', 'id', 'sharing', 'required', 'size', 'mode', 'uid'],
  ...['gid', 'src', 'dst', 'destination', 'ro', 'rw', 'readwrite', 'env'],
];

/** Finds out what a mount is of, and refuses what is no list of options. Throws `DockerfileError`. */
export function parseMount(text: string): RunMount {
  let from = '';
  for (const field of fieldsOf(text)) {
    const [key, value] = split(field);
    if (key !== 'from' || value === undefined) continue;
    const dollar = value.indexOf('$');
    if (dollar >= 0 && dollar !== value.length - 1) {
      throw new DockerfileError(`'${key}' doesn't support variable expansion, define alias stage instead`);
    }
    from = value;
  }
  return from === '' ? { text } : { text, from };
}

/** Gives a mount its meaning. `expandWord` takes the variables out of each value. Throws `DockerfileError`. */
export function resolveMount({ text }: RunMount, expandWord: (word: string) => string): Mount {
  const draft: Draft = { type: 'bind', readOnly: false, required: false };
  for (const field of fieldsOf(text)) {
    const [key, written] = split(field);
    if (written === undefined) setSwitch(draft, key, field);
    else setOption(draft, key, expandWord(written), field);
  }
  refuseContradictions(draft);
  const { readOnlySaid, ...mount } = draft;
  const writableByNature = mount.type === 'cache' || mount.type === 'tmpfs';
  return readOnlySaid ? mount : { ...mount, readOnly: !writableByNature };
}

/** An option without a value. */
function setSwitch(draft: Draft, key: string, field: string): void {
  switch (key) {
    case 'readonly':
    case 'ro':
      setReadOnly(draft, true);
      return;
    case 'readwrite':
    case 'rw':
      setReadOnly(draft, false);
      return;
    case 'required':
      refuseUnless(draft, key, ['secret', 'ssh']);
      draft.required = true;
      return;
    default:
      throw new DockerfileError(`invalid field '${field}' must be a key=value pair`);
  }
}

function setOption(draft: Draft, key: string, value: string, field: string): void {
  switch (key) {
    case 'type': {
      const type = TYPES.find((known) => known === value.toLowerCase());
      if (type === undefined) throw unsupportedValue('mount type', value, TYPES);
      draft.type = type;
      return;
    }
    case 'from':
    case 'id':
      draft[key] = value;
      return;
    case 'env':
      draft.env = value;
      return;
    case 'source':
    case 'src':
      draft.source = value;
      return;
    case 'target':
    case 'dst':
    case 'destination':
      draft.target = value;
      return;
    case 'readonly':
    case 'ro':
      setReadOnly(draft, booleanOf(key, value));
      return;
    case 'readwrite':
    case 'rw':
      setReadOnly(draft, !booleanOf(key, value));
      return;
    case 'required':
      refuseUnless(draft, key, ['secret', 'ssh']);
      draft.required = booleanOf(key, value);
      return;
    case 'size': {
      refuseUnless(draft, key, ['tmpfs']);
      const size = parseSize(value);
      if (size === undefined) throw new DockerfileError(`invalid value for ${key}: ${value}`);
      draft.sizeLimit = size;
      return;
    }
    case 'sharing': {
      const sharing = SHARING.find((known) => known === value.toLowerCase());
      if (sharing === undefined) throw unsupportedValue('sharing value', value, SHARING);
      draft.sharing = sharing;
      return;
    }
    case 'mode':
    case 'uid':
    case 'gid': {
      const number = parseUint32(value, key === 'mode' ? 8 : 10);
      if (number === undefined) throw new DockerfileError(`invalid value ${value} for ${key}`);
      draft[key] = number;
      return;
    }
    default:
      throw new DockerfileError(`unexpected key '${key}' in '${field}'${didYouMean(key, OPTIONS)}`);
  }
}

function refuseContradictions({ type, from, source, target, id, sharing, ...draft }: Draft): void {
  if (type === 'bind' || type === 'tmpfs') {
    for (const key of ['mode', 'uid', 'gid'] as const) {
      if (draft[key] !== undefined) throw new DockerfileError(`${key} not allowed for "${type}" type mounts`);
    }
  }
  if (type === 'secret') {
    if (from) throw new DockerfileError('secret mount should not have a from');
    if (sharing) throw new DockerfileError('secret mount should not define sharing');
    if (!source && !target && !id) {
      throw new DockerfileError('invalid secret mount. one of source, target required');
    }
    if (source && id) throw new DockerfileError("both source and id can't be set");
  }
  if (sharing && type !== 'cache') {
    throw new DockerfileError(`invalid cache sharing set for ${type} mount`);
  }
}

function setReadOnly(draft: Draft, readOnly: boolean): void {
  draft.readOnly = readOnly;
  draft.readOnlySaid = true;
}

function refuseUnless(draft: Draft, key: string, types: readonly MountType[]): void {
  if (types.includes(draft.type)) return;
  throw new DockerfileError(`unexpected key '${key}' for mount type '${draft.type}'`);
}

function booleanOf(key: string, value: string): boolean {
  const parsed = parseBoolean(value);
  if (parsed === undefined) throw new DockerfileError(`invalid value for ${key}: ${value}`);
  return parsed;
}

function unsupportedValue(what: string, value: string, known: readonly string[]): DockerfileError {
  return new DockerfileError(`unsupported ${what} ${goQuote(value)}${didYouMean(value, known)}`);
}

function split(field: string): [key: string, value: string | undefined] {
  const equals = field.indexOf('=');
  if (equals < 0) return [field.toLowerCase(), undefined];
  return [field.slice(0, equals).toLowerCase(), field.slice(equals + 1)];
}

function fieldsOf(text: string): string[] {
  try {
    return csvFields(text);
  } catch (error) {
    if (!(error instanceof DockerfileError)) throw error;
    throw new DockerfileError(`failed to parse csv mounts: ${error.message}`);
  }
}
