import { posix } from 'node:path';
import { invalid } from '#errors/errors.ts';
import type { HostFacts } from '../host/host-facts.ts';
import { capabilitiesFor } from './capabilities.ts';
import { devicesFor } from './devices.ts';
import { mountsFor, rootPropagationFor } from './mounts.ts';
import type { OciLinux, OciMount, OciProcess, OciSpec } from './oci-spec.ts';
import { resourcesFor } from './resources.ts';
import { rlimitsFor } from './rlimits.ts';
import { SeccompProfiles } from './seccomp.ts';
import { parseSecurityOptions, type SecurityOptions } from './security-options.ts';
import type { SpecRequest } from './spec-request.ts';
import { resolveUser } from './user.ts';

const CGROUP_PARENT = '/slipway';
const INIT_IN_CONTAINER = '/sbin/docker-init';

const MASKED_PATHS = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];
const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/** Profiles are resolved once for a host and a set of capabilities, not for each container. */
const seccompByHost = new WeakMap<HostFacts, SeccompProfiles>();

/**
 * Turns a request into a complete OCI configuration for this host. Reads the image's passwd and group files and
 * the host's device nodes, changes nothing. Throws `invalid` for what the request asks and nobody could give.
 */
export async function createSpec(request: SpecRequest, host: HostFacts): Promise<OciSpec> {
  const security = parseSecurityOptions(request.securityOpt);
  const capabilities = capabilitiesFor(request, host.capabilities);
  const [process, devices] = await Promise.all([
    createProcess(request, host, security, capabilities),
    devicesFor(request),
  ]);
  const protect = !request.privileged && security.protectSystemPaths;
  const propagation = rootPropagationFor(request.mounts);
  const seccomp = seccompFor(request, host, security, capabilities);
  return {
    ociVersion: '1.0.2',
    process,
    root: { path: request.rootfs, readonly: request.readonlyRootfs ?? false },
    ...(request.hostname && request.namespaces.uts !== 'host' && { hostname: request.hostname }),
    mounts: [...mountsFor(request, security), ...initMount(request, host)],
    linux: {
      namespaces: namespacesFor(request, host),
      devices: devices.nodes,
      cgroupsPath: cgroupPathFor(request, host),
      resources: { ...resourcesFor(request.resources, host), devices: devices.rules },
      sysctl: sysctlsFor(request),
      ...(seccomp && { seccomp }),
      ...(propagation && { rootfsPropagation: propagation }),
      maskedPaths: protect ? [...(request.maskedPaths ?? MASKED_PATHS)] : [],
      readonlyPaths: protect ? [...(request.readonlyPaths ?? READONLY_PATHS)] : [],
    },
  };
}

/** Always absolute: a relative one would be below wherever the worker itself happens to be. */
function cgroupPathFor({ cgroupParent, id }: SpecRequest, { cgroup }: HostFacts): string {
  const parent = cgroupParent || cgroup.parent || CGROUP_PARENT;
  return posix.join('/', posix.normalize(`/${parent}`), id);
}

async function createProcess(
  request: SpecRequest,
  host: HostFacts,
  security: SecurityOptions,
  capabilities: string[],
): Promise<OciProcess> {
  const { uid, gid, additionalGids } = await resolveUser(request.rootfs, request.user, request.groupAdd);
  return {
    terminal: request.terminal ?? false,
    ...(request.terminal && request.consoleSize && { consoleSize: request.consoleSize }),
    user: { uid, gid, additionalGids },
    args: request.init ? [INIT_IN_CONTAINER, '--', ...request.args] : [...request.args],
    env: [...request.env],
    cwd: request.cwd || '/',
    // Nothing inheritable: a binary with inheritable file capabilities must not get more than its image meant.
    capabilities: {
      bounding: capabilities,
      effective: capabilities,
      permitted: capabilities,
      inheritable: [],
      ambient: [],
    },
    rlimits: rlimitsFor(request.ulimits, host),
    noNewPrivileges: security.noNewPrivileges,
    ...oomScoreAdj(request.oomScoreAdj, host),
    ...appArmor(security, host),
  };
}

/** Lowering one's own score takes CAP_SYS_RESOURCE; without it the runtime would fail. */
function oomScoreAdj(wanted: number | undefined, host: HostFacts): { oomScoreAdj?: number } {
  if (wanted === undefined || wanted === 0) return {};
  const floor = host.capabilities.includes('CAP_SYS_RESOURCE') ? -1000 : host.oomScoreAdj;
  return { oomScoreAdj: Math.max(wanted, floor) };
}

function appArmor({ appArmor: profile }: SecurityOptions, host: HostFacts): { apparmorProfile?: string } {
  if (!profile || profile === 'unconfined') return {};
  if (!host.appArmor) throw invalid(`apparmor profile ${profile}: AppArmor is not enabled on this host`);
  return { apparmorProfile: profile };
}

function seccompFor(
  request: SpecRequest,
  host: HostFacts,
  { seccomp }: SecurityOptions,
  capabilities: string[],
): object | undefined {
  if (seccomp === 'unconfined' || (request.privileged && seccomp === 'default')) return undefined;
  const profiles = seccompByHost.get(host) ?? new SeccompProfiles(host);
  seccompByHost.set(host, profiles);
  return seccomp === 'default' ? profiles.default(capabilities) : profiles.custom(seccomp, capabilities);
}

function namespacesFor({ namespaces }: SpecRequest, host: HostFacts): OciLinux['namespaces'] {
  const { network, pid = 'private', ipc = 'private', uts = 'private' } = namespaces;
  const cgroup = namespaces.cgroup ?? (host.cgroup.version === 'v2' ? 'private' : 'host');
  return [
    { type: 'mount' },
    ...(network === 'host'
      ? []
      : [network === 'new' ? { type: 'network' } : { type: 'network', path: network }]),
    ...namespace('pid', pid),
    ...namespace('ipc', ipc),
    ...namespace('uts', uts),
    ...namespace('cgroup', cgroup),
  ];
}

function namespace(type: string, mode: string | { path: string }): OciLinux['namespaces'] {
  if (typeof mode === 'object') return [{ type, path: mode.path }];
  return mode === 'host' ? [] : [{ type }];
}

function sysctlsFor({ namespaces, domainname, sysctls }: SpecRequest): Record<string, string> {
  return {
    // Its network is the container's own: any of its users may bind low ports and ping there.
    ...(namespaces.network !== 'host' && {
      'net.ipv4.ip_unprivileged_port_start': '0',
      'net.ipv4.ping_group_range': '0 2147483647',
    }),
    ...(domainname && namespaces.uts !== 'host' && { 'kernel.domainname': domainname }),
    ...sysctls,
  };
}

function initMount({ init }: SpecRequest, host: HostFacts): OciMount[] {
  if (!init) return [];
  const { path, package: debianPackage } = host.tools.init;
  if (!path) throw invalid(`--init needs an init binary on the worker: apt-get install ${debianPackage}`);
  return [{ destination: INIT_IN_CONTAINER, type: 'bind', source: path, options: ['bind', 'ro'] }];
}
