import { posix } from 'node:path';
import { invalid } from '#errors/errors.ts';
import type { ContainerConfig } from '../container-config.ts';
import { parseSignal } from '../signals.ts';

const MAX_HOSTNAME_LENGTH = 64;
const MIN_HEALTH_DURATION = 1_000_000;

/** Checks what a container is to run, in Docker's words, and cleans its working directory. Throws `invalid`. */
export function verifyConfig(config: ContainerConfig): ContainerConfig {
  if (config.Hostname.length > MAX_HOSTNAME_LENGTH) {
    throw invalid(
      `hostname ${JSON.stringify(config.Hostname)} is too long (maximum ${MAX_HOSTNAME_LENGTH} bytes)`,
    );
  }
  if (config.StopSignal) parseSignal(config.StopSignal);
  for (const entry of config.Env ?? []) {
    if (entry === '' || entry.startsWith('=')) throw invalid(`invalid environment variable: ${entry}`);
    if (entry.includes('\0')) throw invalid('invalid environment variable: it contains a null byte');
  }
  for (const argument of [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])]) {
    if (argument.includes('\0')) throw invalid('invalid command: it contains a null byte');
  }
  for (const port of Object.keys(config.ExposedPorts ?? {})) {
    if (!/^\d{1,5}(-\d{1,5})?(\/(tcp|udp|sctp))?$/i.test(port)) {
      throw invalid(`invalid port specification: ${JSON.stringify(port)}`);
    }
  }
  verifyHealthcheck(config.Healthcheck);
  return { ...config, WorkingDir: cleanWorkingDir(config.WorkingDir) };
}

function cleanWorkingDir(directory: string): string {
  if (directory === '') return '';
  if (!directory.startsWith('/')) {
    throw invalid(`the working directory '${directory}' is invalid, it needs to be an absolute path`);
  }
  const clean = posix.normalize(directory);
  return clean.length > 1 ? clean.replace(/\/$/, '') : clean;
}

function verifyHealthcheck(check: ContainerConfig['Healthcheck']): void {
  for (const name of ['Interval', 'Timeout', 'StartPeriod', 'StartInterval'] as const) {
    const value = check?.[name] ?? 0;
    if (value !== 0 && value < MIN_HEALTH_DURATION) {
      throw invalid(`${name} in Healthcheck cannot be less than 1ms`);
    }
  }
  if ((check?.Retries ?? 0) < 0) throw invalid('Retries in Healthcheck cannot be negative');
}
