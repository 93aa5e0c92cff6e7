import type { ClientEnvironment } from '#config/client-environment.ts';
import type { OptionValues } from '../commands/command.ts';
import { Refusal } from '../refusal.ts';
import { keyValues } from './key-values.ts';

/** What the Dockerfile frontend is to know, as BuildKit's clients tell it. Throws `Refusal`. */
export function frontendOptions(
  options: OptionValues,
  { variable }: Pick<ClientEnvironment, 'variable'>,
): Record<string, string> {
  const list = (name: string) => (options[name] ?? []) as readonly string[];
  const result: Record<string, string> = {};
  for (const text of list('build-arg')) {
    const [name, value] = pair(text);
    // A name alone is a variable of the caller's, if it is set.
    const given = value ?? variable(name);
    if (given !== undefined) result[`build-arg:${name}`] = given;
  }
  for (const text of list('label')) {
    const [name, value = ''] = pair(text);
    result[`label:${name}`] = value;
  }
  for (const text of list('attest')) {
    const fields = keyValues('--attest', text);
    const type = fields.get('type');
    if (!type) throw new Refusal(`--attest ${text}: type is missing`, { exitCode: 2 });
    fields.delete('type');
    result[`attest:${type}`] = [...fields].map(([name, value]) => `${name}=${value}`).join(',');
  }
  const hosts = list('add-host').map(hostOf);
  const stages = list('no-cache-filter');
  return {
    ...result,
    ...(typeof options.target === 'string' && { target: options.target }),
    ...(typeof options.network === 'string' && { 'force-network-mode': options.network }),
    ...(list('platform').length > 0 && { platform: list('platform').join(',') }),
    ...(hosts.length > 0 && { 'add-hosts': hosts.join(',') }),
    ...(stages.length > 0 && { 'no-cache': stages.join(',') }),
    ...(options['no-cache'] === true && { 'no-cache': '' }),
    ...(options.pull === true && { 'image-resolve-mode': 'pull' }),
  };
}

/** `type=registry,ref=…`; a name alone is one of a registry's. Throws `Refusal`. */
export function partsOf(option: string, text: string): { type: string; attrs: Record<string, string> } {
  if (!text.includes('=')) return { type: 'registry', attrs: { ref: text } };
  const { type, ...attrs } = Object.fromEntries(keyValues(option, text));
  if (!type) throw new Refusal(`${option} ${text}: type is missing`, { exitCode: 2 });
  return { type, attrs };
}

function pair(text: string): [name: string, value: string | undefined] {
  const at = text.indexOf('=');
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

/** `name:address` or `name=address`, of which addresses have colons of their own. */
function hostOf(text: string): string {
  const [, name, address] = /^([^:=]+)[:=](.+)$/.exec(text) ?? [];
  if (!name || !address) throw new Refusal(`--add-host ${text}: expected NAME:ADDRESS`, { exitCode: 2 });
  return `${name}=${address.replace(/^\[(.*)\]$/, '$1')}`;
}
