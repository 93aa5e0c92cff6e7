import type { DescField, DescMessage, DescOneof, Message } from '@bufbuild/protobuf';

/** Where Go's JSON of BuildKit's messages is not what their descriptors say (solver/pb/json.go). */
const ALWAYS: ReadonlySet<string> = new Set([
  'pb.FileAction.input',
  'pb.FileAction.secondaryInput',
  'pb.FileAction.output',
]);
const RENAMED: ReadonlyMap<string, string> = new Map([['pb.UserOpt.byID', 'byId']]);

/**
 * A message as Go's encoding/json writes the struct that protoc-gen-go made of it: names as in the .proto file, numbers as
 * numbers, nothing that is zero, and a oneof as an object under its name in Go.
 */
export function goJson(description: DescMessage, message: Message): Record<string, unknown> {
  const values = message as unknown as Readonly<Record<string, unknown>>;
  const json: Record<string, unknown> = {};
  for (const member of description.members) {
    const value = values[member.localName];
    if (member.kind === 'oneof') json[goName(member.name)] = chosen(member, value as Choice);
    else if (ALWAYS.has(nameOf(member)) || !isZero(value)) {
      json[RENAMED.get(nameOf(member)) ?? member.name] = fieldValue(member, value);
    }
  }
  return json;
}

interface Choice {
  readonly case: string | undefined;
  readonly value?: unknown;
}

function chosen({ fields }: DescOneof, { case: name, value }: Choice): object {
  const field = fields.find(({ localName }) => localName === name);
  if (!field) return {};
  // A number is left out when it is zero, a message never.
  if (field.fieldKind !== 'message' && isZero(value)) return {};
  return { [RENAMED.get(nameOf(field)) ?? field.name]: fieldValue(field, value) };
}

function fieldValue(field: DescField, value: unknown): unknown {
  switch (field.fieldKind) {
    case 'list':
      return (value as readonly unknown[]).map((item) =>
        field.listKind === 'message' ? goJson(field.message, item as Message) : scalar(item),
      );
    case 'map':
      return Object.fromEntries(
        Object.entries(value as Readonly<Record<string, unknown>>)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, item]) => [
            key,
            field.mapKind === 'message' ? goJson(field.message, item as Message) : scalar(item),
          ]),
      );
    case 'message':
      return goJson(field.message, value as Message);
    default:
      return scalar(value);
  }
}

function scalar(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;
}

function isZero(value: unknown): boolean {
  if (value === undefined || value === '' || value === false || value === 0 || value === 0n) return true;
  if (value instanceof Uint8Array || Array.isArray(value)) return value.length === 0;
  return isPlain(value) && Object.keys(value).length === 0;
}

/** A map, and no message: those have a name. */
function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !('$typeName' in value);
}

function nameOf(field: DescField): string {
  return `${field.parent.typeName}.${field.name}`;
}

function goName(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
