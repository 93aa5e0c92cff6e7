import type { ContainerRecord } from '../containers/container.ts';
import { ContainerFiles } from '../containers/container-files.ts';
import { processEnvironment } from '../containers/start/process-environment.ts';
import { specRequestOf } from '../containers/start/spec-request-of.ts';
import type { OciProcess, OciSpec } from '../runtime/spec/oci-spec.ts';
import type { SpecRequest } from '../runtime/spec/spec-request.ts';
import type { ExecConfig } from './exec.ts';

/** The process of an exec: its container's, with what the exec says otherwise. Throws `invalid` (no such user). */
export async function execProcess(
  record: ContainerRecord,
  config: ExecConfig,
  consoleSize: { height: number; width: number } | undefined,
  ports: { createSpec: (request: SpecRequest) => Promise<OciSpec>; root: string },
): Promise<OciProcess> {
  const files = new ContainerFiles(ports.root, record.id);
  const request = specRequestOf(record, files, { network: 'host', pid: 'private', ipc: 'private' }, files);
  const { process } = await ports.createSpec({
    ...request,
    // Only the process counts here; mounts and devices would be looked up in vain.
    mounts: [],
    devices: [],
    init: false,
    args: config.command,
    env: processEnvironment(record.config, { terminal: config.terminal, extra: config.env }),
    cwd: config.workingDir || record.config.WorkingDir || '/',
    user: config.user || record.config.User,
    terminal: config.terminal,
    privileged: config.privileged || record.hostConfig.Privileged,
    ...(consoleSize && { consoleSize }),
  });
  return process;
}
