import type { BuildFault, BuildRecord } from '../history/build-record.ts';

/** Values that tell who somebody is: `https://user:password@host`, and headers that were given for a download. */
const USER_INFO = /(\b[a-z][a-z0-9+.-]*:\/\/)[^/\s@]+@/gi;
const SECRET_OPTION = /(?:password|passwd|secret|token|credential|auth|api[_-]?key|private[_-]?key)/i;

/** A build without what must not be remembered. Errors and names of steps may quote addresses as users wrote them. */
export function withoutSecrets(record: BuildRecord): BuildRecord {
  const { error } = record;
  return {
    ...record,
    frontendOptions: scrubbed(record.frontendOptions),
    exporters: record.exporters.map(({ type, attrs }) => ({ type, attrs: scrubbed(attrs) })),
    steps: record.steps.map((step) => ({
      ...step,
      name: withoutUsers(step.name),
      ...(step.error !== undefined && { error: withoutUsers(step.error) }),
    })),
    ...(error && { error: withoutUsersIn(error) }),
  };
}

/** A document without the values of variables whose names say that they are secret (`TOKEN=…` among a list's texts). */
export function withoutSecretValues(document: object): object {
  const replaced = JSON.stringify(document, (_name, value: unknown) =>
    Array.isArray(value)
      ? value.map((item) => (typeof item === 'string' ? withoutValue(item) : item))
      : value,
  );
  return JSON.parse(replaced) as object;
}

function withoutValue(text: string): string {
  const [, name] = /^([A-Za-z_]\w*)=./s.exec(text) ?? [];
  return name !== undefined && SECRET_OPTION.test(name) ? `${name}=(hidden)` : text;
}

/** Options of frontends and exporters without secret values. */
export function scrubbed(options: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [
      name,
      SECRET_OPTION.test(name) && value !== '' ? '(hidden)' : withoutUsers(value),
    ]),
  );
}

function withoutUsersIn(fault: BuildFault): BuildFault {
  const { message, excerpt } = fault;
  return {
    ...fault,
    message: withoutUsers(message),
    ...(excerpt !== undefined && { excerpt: withoutUsers(excerpt) }),
  };
}

function withoutUsers(text: string): string {
  return text.replace(USER_INFO, '$1xxxxx@');
}
