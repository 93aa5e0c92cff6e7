import { randomBytes } from 'node:crypto';
import { invalid, notFound } from '#errors/errors.ts';
import type { VolumeRecord } from './volumes-repository.ts';

export interface CreateVolumeRequest {
  readonly name?: string;
  readonly driver?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly options?: Readonly<Record<string, string>>;
}

/** What Docker marks volumes with that nobody named. */
const ANONYMOUS_LABEL = 'com.docker.volume.anonymous';

const OPTIONS = ['type', 'o', 'device', 'size'];

/** The volume that a request asks for. Throws in the engine's words what is wrong with it. */
export function planVolume(request: CreateVolumeRequest): VolumeRecord {
  const anonymous = !request.name;
  const name = request.name || randomBytes(32).toString('hex');
  const driver = request.driver || 'local';
  if (driver !== 'local')
    throw notFound(`create ${name}: error looking up volume plugin ${driver}: plugin "${driver}" not found`);
  const options = request.options ?? {};
  checkName(name);
  checkOptions(name, options);
  const labels = anonymous ? { ...request.labels, [ANONYMOUS_LABEL]: '' } : (request.labels ?? {});
  return { name, createdAt: new Date(), labels, options, anonymous };
}

function checkName(name: string): void {
  if (name.length === 1) {
    throw invalid(
      `create ${name}: volume name is too short, names should be at least two alphanumeric characters`,
    );
  }
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}$/.test(name)) {
    throw invalid(
      `create ${name}: "${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
  }
}

function checkOptions(name: string, options: Readonly<Record<string, string>>): void {
  for (const key of Object.keys(options)) {
    if (!OPTIONS.includes(key)) throw invalid(`create ${name}: invalid option: "${key}"`);
  }
  if (options.size !== undefined) throw invalid(`create ${name}: quota size requested but no quota support`);
  if ((options.type !== undefined || options.o !== undefined) && !options.device) {
    throw invalid(`create ${name}: missing required option: "device"`);
  }
}
