import { invalid } from '#errors/errors.ts';
import type { HostConfig } from '../host-config.ts';
import { logLimits } from './log-limits.ts';

const EVERY_DRIVER = ['mode', 'max-buffer-size'];
const ROTATION = ['max-size', 'max-file', 'compress'];

/** What each driver can be told; of `none`, anything. */
const OPTIONS: Readonly<Record<string, readonly string[] | undefined>> = {
  'json-file': [...EVERY_DRIVER, ...ROTATION, 'labels', 'labels-regex', 'env', 'env-regex', 'tag'],
  local: [...EVERY_DRIVER, ...ROTATION],
  none: undefined,
};

/** Throws `invalid` for a log driver, an option of one, or a limit that nobody knows. */
export function verifyLogConfig({ Type, Config }: HostConfig['LogConfig']): void {
  const driver = Type || 'json-file';
  if (!Object.hasOwn(OPTIONS, driver)) {
    throw invalid(`logger: no log driver named '${driver}' is registered`);
  }
  const unknown = Object.keys(Config).find((name) => OPTIONS[driver]?.includes(name) === false);
  if (unknown === undefined) {
    logLimits({ Type: driver, Config });
    return;
  }
  throw invalid(
    driver === 'local'
      ? `unknown log opt '${unknown}' for log driver local`
      : `unknown log opt '${unknown}' for ${driver} log driver`,
  );
}
