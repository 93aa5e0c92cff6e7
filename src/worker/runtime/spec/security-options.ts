import { invalid } from '#errors/errors.ts';

export interface SecurityOptions {
  /** `default`, `unconfined`, or a profile as JSON text. */
  seccomp: string;
  noNewPrivileges: boolean;
  appArmor: string | undefined;
  /** Masked and read-only paths of /proc and /sys stay. */
  protectSystemPaths: boolean;
  writableCgroups: boolean;
}

/** Reads the values of `--security-opt`. Throws `invalid` for one that would otherwise be silently not applied. */
export function parseSecurityOptions(options: readonly string[] = []): SecurityOptions {
  const parsed: SecurityOptions = {
    seccomp: 'default',
    noNewPrivileges: false,
    appArmor: undefined,
    protectSystemPaths: true,
    writableCgroups: false,
  };
  for (const option of options) apply(parsed, option);
  return parsed;
}

function apply(parsed: SecurityOptions, option: string): void {
  // `seccomp=…`, and the older `seccomp:…`.
  const [, name = option, value = ''] = /^([a-z-]+)(?:[=:]([\s\S]*))?$/.exec(option) ?? [];
  switch (name) {
    case 'no-new-privileges':
      parsed.noNewPrivileges = boolean(value || 'true', option);
      return;
    case 'seccomp':
      parsed.seccomp = value === 'builtin' ? 'default' : value;
      return;
    case 'apparmor':
      parsed.appArmor = value;
      return;
    case 'systempaths':
      if (value !== 'unconfined') break;
      parsed.protectSystemPaths = false;
      return;
    case 'writable-cgroups':
      parsed.writableCgroups = boolean(value || 'true', option);
      return;
    case 'label':
      // SELinux: nothing to switch off where it is not used, nothing to enforce either.
      if (value === 'disable') return;
      throw invalid(`security option ${option} needs SELinux, which this worker does not drive`);
  }
  throw invalid(`invalid --security-opt: "${option}"`);
}

function boolean(value: string, option: string): boolean {
  if (/^(1|t|true)$/i.test(value)) return true;
  if (/^(0|f|false)$/i.test(value)) return false;
  throw invalid(`invalid --security-opt: "${option}"`);
}
