import type { ContainerConfig } from '../container-config.ts';

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The environment of a container's process: the engine's variables, then the configuration's over them. */
export function processEnvironment(
  config: ContainerConfig,
  options: { terminal: boolean; extra?: readonly string[] },
): string[] {
  const variables = new Map<string, string>();
  const set = (entry: string) => {
    const equals = entry.indexOf('=');
    // A name alone takes a variable away again.
    if (equals < 0) variables.delete(entry);
    else variables.set(entry.slice(0, equals), entry);
  };
  set(`PATH=${DEFAULT_PATH}`);
  set(`HOSTNAME=${config.Hostname}`);
  if (options.terminal) set('TERM=xterm');
  for (const entry of config.Env ?? []) set(entry);
  for (const entry of options.extra ?? []) set(entry);
  return [...variables.values()];
}
