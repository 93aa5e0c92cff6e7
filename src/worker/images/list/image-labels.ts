import type { ImageConfig } from '#oci/image-config.ts';

/** The filters `label` (all of them must hold) and `label!` (none of them may): `name` or `name=value`. */
export function matchesImageLabels(
  { config }: ImageConfig,
  filters: ReadonlyMap<string, readonly string[]>,
): boolean {
  const labels = config?.Labels ?? {};
  const has = (wanted: string) => {
    const equals = wanted.indexOf('=');
    if (equals < 0) return Object.hasOwn(labels, wanted);
    return labels[wanted.slice(0, equals)] === wanted.slice(equals + 1);
  };
  return (filters.get('label') ?? []).every(has) && !(filters.get('label!') ?? []).some(has);
}
