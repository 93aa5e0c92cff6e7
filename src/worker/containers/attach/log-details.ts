import type { ContainerRecord } from '../container.ts';

/** What `docker logs --details` puts before every line: labels and variables that the log's options name. */
export function logDetails({ config, hostConfig }: ContainerRecord): string {
  const options = hostConfig.LogConfig.Config;
  const labels = Object.entries(config.Labels ?? {});
  const variables = (config.Env ?? []).map((entry) => {
    const [name = '', ...value] = entry.split('=');
    return [name, value.join('=')] as const;
  });
  const details = new Map([
    ...labels.filter(([name]) => isNamed(name, options.labels, options['labels-regex'])),
    ...variables.filter(([name]) => isNamed(name, options.env, options['env-regex'])),
  ]);
  return [...details]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join(',');
}

function isNamed(name: string, list: string | undefined, pattern: string | undefined): boolean {
  if (list?.split(',').includes(name)) return true;
  if (!pattern) return false;
  try {
    return new RegExp(pattern).test(name);
  } catch {
    return false;
  }
}
