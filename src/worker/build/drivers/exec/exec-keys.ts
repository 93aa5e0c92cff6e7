import { invalid } from '#errors/errors.ts';
import { digestOf } from '#oci/digest.ts';
import { formatPlatform, hostPlatform } from '#oci/platform.ts';
import type { ContentSelector } from '../../files/content-digest.ts';
import { absolutePath } from '../../files/root-path.ts';
import { canonicalJson } from '../../llb/canonical-json.ts';
import type { ExecMount, ExecOp } from '../../llb/op.ts';
import type { Vertex } from '../../llb/vertex.ts';

export interface ExecInputKey {
  /** Where in the input its mounts begin. */
  readonly paths: readonly string[];
  /** undefined: what is seen of it may reach an output, so all of it counts. */
  readonly content: readonly ContentSelector[] | undefined;
}

/**
 * What makes a command's outcome. Not counted: proxies, addresses of extra hosts, which cache a cache mount has,
 * what a secret is (a changed one is no reason to run a command again).
 */
export function execKeys(vertex: Vertex<ExecOp>): { digest: string; inputs: readonly ExecInputKey[] } {
  const { op, platform } = vertex;
  const { proxyEnv: _, extraHosts, mounts, ...rest } = op;
  const counted = {
    ...rest,
    ...(extraHosts && { extraHosts: extraHosts.map(({ host }) => host) }),
    mounts: mounts.map(countedMount),
  };
  const where = formatPlatform(platform ?? hostPlatform());
  return {
    digest: digestOf(canonicalJson(['exec', counted, where])),
    inputs: vertex.inputs.map((_input, at) => inputKey(op, at)),
  };
}

function countedMount(mount: ExecMount): object {
  const { selector: _, ...rest } = mount;
  if (rest.type !== 'cache') return rest;
  const { id: _id, sharing: _sharing, ...counted } = rest;
  return counted;
}

function inputKey({ mounts }: ExecOp, input: number): ExecInputKey {
  const own = mounts.filter(
    (mount) => mount.input === input && (mount.type === 'bind' || mount.type === 'cache'),
  );
  const paths = own.map(({ selector = '' }) => absolutePath(selector));
  if (own.length === 0 || !own.every(byContent)) return { paths, content: undefined };
  const whole = paths.includes('/');
  return { paths, content: whole ? [{ path: '/' }] : dedupe(paths).map((path) => ({ path, follow: true })) };
}

/** Contents are enough where nothing that is not selected can reach an output. Throws `invalid`. */
function byContent(mount: ExecMount): boolean {
  const whole = absolutePath(mount.selector ?? '') === '/';
  const safe = mount.output === undefined || mount.readonly === true || whole;
  const wish = mount.type === 'bind' ? (mount.contentCache ?? 'auto') : 'auto';
  if (wish === 'off') return false;
  if (wish === 'on' && !safe) throw invalid(`invalid mount cache content ${mount.dest}`);
  // Reading all of a root file system takes longer than it saves.
  return wish === 'on' || (safe && mount.dest !== '/');
}

function dedupe(paths: readonly string[]): string[] {
  const sorted = [...new Set(paths)].sort();
  return sorted.filter((path) => !sorted.some((other) => other !== path && path.startsWith(`${other}/`)));
}
