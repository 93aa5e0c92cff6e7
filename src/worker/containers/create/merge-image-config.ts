import { invalid } from '#errors/errors.ts';
import type { RunConfig } from '#oci/image-config.ts';
import type { ContainerConfig } from '../container-config.ts';

/**
 * A container's configuration with its image's filled in: the user's value wins, lists of variables, labels,
 * ports and volumes are joined; an own entrypoint drops the image's command. Throws `invalid` without a command.
 */
export function mergeImageConfig(own: ContainerConfig, image: RunConfig = {}): ContainerConfig {
  const merged: ContainerConfig = {
    ...own,
    User: own.User || image.User || '',
    Env: mergeEnv(own.Env ?? [], image.Env ?? []),
    Labels: { ...image.Labels, ...own.Labels },
    WorkingDir: own.WorkingDir || image.WorkingDir || '',
    Volumes: mergeKeys(own.Volumes, image.Volumes) ?? null,
    OnBuild: own.OnBuild ?? (image.OnBuild ? [...image.OnBuild] : null),
    ...mergeCommand(own, image),
  };
  const ports = mergeKeys(own.ExposedPorts, image.ExposedPorts);
  if (ports) merged.ExposedPorts = ports;
  const stopSignal = own.StopSignal || image.StopSignal;
  if (stopSignal) merged.StopSignal = stopSignal;
  if (image.Shell && !own.Shell) merged.Shell = [...image.Shell];
  const health = mergeHealthcheck(own.Healthcheck, image.Healthcheck);
  if (health) merged.Healthcheck = health;
  if (!merged.Entrypoint?.length && !merged.Cmd?.length) throw invalid('no command specified');
  return merged;
}

function mergeCommand(own: ContainerConfig, image: RunConfig): Pick<ContainerConfig, 'Cmd' | 'Entrypoint'> {
  let { Cmd, Entrypoint } = own;
  if (!Entrypoint?.length) {
    if (!Cmd?.length) Cmd = image.Cmd ? [...image.Cmd] : null;
    // An empty list, unlike null, says: none, not even the image's.
    Entrypoint ??= image.Entrypoint ? [...image.Entrypoint] : null;
  }
  if (Entrypoint?.length === 1 && Entrypoint[0] === '') Entrypoint = null;
  return { Cmd, Entrypoint };
}

function mergeEnv(own: readonly string[], image: readonly string[]): string[] {
  const key = (entry: string) => entry.split('=', 1)[0];
  const named = new Set(own.map(key));
  return [...own, ...image.filter((entry) => !named.has(key(entry)))];
}

function mergeKeys<T extends object>(
  own: Readonly<Record<string, T>> | null | undefined,
  image: Readonly<Record<string, T>> | null | undefined,
): Record<string, T> | undefined {
  const merged = { ...image, ...own };
  return Object.keys(merged).length > 0 ? merged : undefined;
}

function mergeHealthcheck(
  own: ContainerConfig['Healthcheck'],
  image: RunConfig['Healthcheck'],
): ContainerConfig['Healthcheck'] {
  if (!own || !image) return own ?? image;
  const given = Object.entries(own).filter(([, value]) => (Array.isArray(value) ? value.length > 0 : value));
  return { ...image, ...Object.fromEntries(given) };
}
