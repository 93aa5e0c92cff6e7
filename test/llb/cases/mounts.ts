import {
  CacheSharingOpt,
  MountType,
} from '#worker/buildkit/proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';
import { copy, type Edge, exec, file, type Mount, mkdir, mkfile, output, symlink } from '../graph.ts';
import type { LlbCase, Surroundings } from '../llb-case.ts';

const given = () =>
  file(undefined, mkfile('/f', 'f'), mkdir('/d', { mode: 0o711 }), mkfile('/d/g', 'g'), symlink('d', '/l'));

const one = (
  name: string,
  line: string,
  mounts: () => readonly Mount[],
  more: Partial<LlbCase> = {},
): LlbCase => ({
  name: `mounts/${name}`,
  graph: ({ busybox }) => exec(busybox, line, { mounts: mounts() }),
  ...more,
});

/** What comes of a mount. */
const outcome = (name: string, line: string, mounts: () => readonly Mount[]): LlbCase => ({
  name: `mounts/${name}`,
  graph: ({ busybox }) => output(exec(busybox, line, { mounts: mounts() }), 1),
});

const cache = (
  id: string,
  sharing: CacheSharingOpt = CacheSharingOpt.SHARED,
  more: Partial<Mount> = {},
): Mount => ({
  dest: '/cache',
  mountType: MountType.CACHE,
  cacheOpt: { ID: id, sharing },
  ...more,
});

/** Two steps that follow each other. */
const twice =
  (mount: () => Mount, first: string, second: string) =>
  ({ busybox }: Surroundings): Edge =>
    exec(exec(busybox, first, { mounts: [mount()] }), second, { mounts: [mount()] });

const { PRIVATE, LOCKED } = CacheSharingOpt;

export const mountCases: readonly LlbCase[] = [
  one('bind', 'cat /m/f /m/d/g > /out', () => [{ dest: '/m', from: given() }]),
  one('bind-file', 'cat /etc/given > /out', () => [{ dest: '/etc/given', from: given(), selector: '/f' }]),
  one('bind-directory', 'ls /m > /out', () => [{ dest: '/m', from: given(), selector: '/d' }]),
  one('bind-through-link', 'ls /m > /out', () => [{ dest: '/m', from: given(), selector: '/l' }]),
  one('bind-relative', 'ls /sub/m > /out', () => [{ dest: 'sub/m', from: given() }]),
  one('bind-over', 'ls /etc > /out', () => [{ dest: '/etc', from: given() }]),
  one('bind-read-only', 'echo x > /m/f 2>/dev/null || echo refused > /out', () => [
    { dest: '/m', from: given(), readonly: true },
  ]),
  one('bind-written-and-forgotten', 'echo x > /m/new; ls /m > /out', () => [{ dest: '/m', from: given() }]),
  one('bind-missing', 'true', () => [{ dest: '/m', from: given(), selector: '/none' }], {
    fails: '"/none": not found',
  }),
  one('bind-in-bind', 'ls /m/d/in > /out', () => [
    { dest: '/m', from: given() },
    { dest: '/m/d/in', from: given() },
  ]),
  outcome('output', 'echo x > /m/new; rm /m/f; echo y > /not-here', () => [
    { dest: '/m', from: given(), output: 1 },
  ]),
  outcome('output-of-nothing', 'echo x > /m/new', () => [{ dest: '/m', output: 1 }]),
  outcome('output-unchanged', 'true', () => [{ dest: '/m', from: given(), output: 1 }]),
  outcome('output-selected', 'echo x > /m/new', () => [
    { dest: '/m', from: given(), selector: '/d', output: 1 },
  ]),
  outcome('output-read-only', 'true', () => [{ dest: '/m', from: given(), readonly: true, output: 1 }]),
  one('root-without-mounts', 'echo x > /a', () => [{ dest: '/made/for/it', from: given() }]),
  one('stub-of-file', 'true', () => [{ dest: '/made/file', from: given(), selector: '/f' }]),
  one('tmpfs', 'echo x > /t/a; ls /t > /out; grep " /t " /proc/mounts | cut -d" " -f3 >> /out', () => [
    { dest: '/t', mountType: MountType.TMPFS },
  ]),
  one('tmpfs-size', "df -k /t | tail -1 | awk '{print $2}' > /out", () => [
    { dest: '/t', mountType: MountType.TMPFS, TmpfsOpt: { size: 1n << 20n } },
  ]),
  one(
    'secret',
    'cat /run/secrets/id > /dev/null; stat -c "%a %u %g" /run/secrets/id > /out; wc -c < /run/secrets/id >> /out',
    () => [{ dest: '/run/secrets/id', mountType: MountType.SECRET, secretOpt: { ID: 'id', mode: 0o400 } }],
    { secrets: { id: 'hush' } },
  ),
  one(
    'secret-owner',
    'stat -c "%a %u %g" /s > /out',
    () => [{ dest: '/s', mountType: MountType.SECRET, secretOpt: { ID: 'id', uid: 5, gid: 6, mode: 0o440 } }],
    { secrets: { id: 'hush' } },
  ),
  one(
    'secret-missing',
    'true',
    () => [{ dest: '/s', mountType: MountType.SECRET, secretOpt: { ID: 'none', mode: 0o400 } }],
    { fails: 'none: not found' },
  ),
  one('secret-missing-optional', 'ls /s 2>/dev/null || echo none > /out', () => [
    { dest: '/s', mountType: MountType.SECRET, secretOpt: { ID: 'none', mode: 0o400, optional: true } },
  ]),
  one(
    'ssh-missing',
    'true',
    () => [{ dest: '/ssh', mountType: MountType.SSH, SSHOpt: { ID: 'default', mode: 0o600 } }],
    { fails: 'no SSH key "default" forwarded from the client' },
  ),
  one('ssh-missing-optional', 'echo ran > /out', () => [
    { dest: '/ssh', mountType: MountType.SSH, SSHOpt: { ID: 'default', mode: 0o600, optional: true } },
  ]),
  { name: 'mounts/cache', graph: twice(() => cache('llb-one'), 'echo x > /cache/a', 'ls /cache > /out') },
  {
    name: 'mounts/cache-private',
    graph: twice(() => cache('llb-two', PRIVATE), 'echo x > /cache/a', 'ls /cache > /out'),
  },
  {
    name: 'mounts/cache-locked',
    graph: twice(() => cache('llb-three', LOCKED), 'echo x > /cache/a', 'ls /cache > /out'),
  },
  {
    name: 'mounts/cache-begins-with',
    graph: twice(() => cache('llb-four', LOCKED, { from: given() }), 'rm /cache/f', 'ls /cache > /out'),
  },
  {
    name: 'mounts/cache-of-a-directory',
    graph: twice(
      () => cache('llb-five', LOCKED, { from: given(), selector: '/d' }),
      'ls /cache > /one',
      'ls /cache > /two',
    ),
  },
  {
    name: 'mounts/cache-is-no-output',
    fails: '"/cache": not found',
    graph: ({ busybox }) =>
      file(
        undefined,
        copy(exec(busybox, 'echo x > /cache/a', { mounts: [cache('llb-six')] }), '/cache', '/x'),
      ),
  },
];
