import type { RunConfig } from '#oci/image-config.ts';
import { DockerfileError } from '../dockerfile/dockerfile-error.ts';
import { parseFragment } from '../dockerfile/parser.ts';
import { type ConfigInstruction, configure } from './configure.ts';
import { envValue } from './stage-state.ts';

const ALLOWED: ReadonlySet<string> = new Set([
  ...['CMD', 'ENTRYPOINT', 'ENV', 'EXPOSE', 'HEALTHCHECK', 'LABEL', 'ONBUILD', 'STOPSIGNAL', 'USER'],
  ...['VOLUME', 'WORKDIR'],
]);

/** Applies `docker commit --change` and `docker import --change`: Dockerfile lines for a configuration. Throws `invalid`. */
export function applyChanges(config: RunConfig, changes: readonly string[]): RunConfig {
  let changed = config;
  let cmdSet = false;
  for (const instruction of changes.flatMap((change) => parseFragment(change))) {
    if (!ALLOWED.has(instruction.name)) {
      throw new DockerfileError(`${instruction.name.toLowerCase()} is not a valid change command`);
    }
    const { Env, Shell } = changed;
    const result = configure(changed, instruction as ConfigInstruction, {
      variables: (name) => envValue(Env, name),
      escapeToken: '\\',
      shell: Shell?.length ? Shell : ['/bin/sh', '-c'],
      cmdSet,
    });
    changed = result.config;
    cmdSet ||= result.cmdSet ?? false;
  }
  return changed;
}
