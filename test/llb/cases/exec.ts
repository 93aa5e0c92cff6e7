import { NetMode, SecurityMode } from '#worker/buildkit/proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';
import { copy, type ExecOptions, exec, file, mkdir, mkfile, symlink } from '../graph.ts';
import type { LlbCase } from '../llb-case.ts';

const one = (name: string, line: string, options: ExecOptions = {}): LlbCase => ({
  name: `exec/${name}`,
  graph: ({ busybox }) => exec(busybox, line, options),
});

const PATH = 'PATH=/bin:/usr/bin';

export const execCases: readonly LlbCase[] = [
  one('writes', 'echo text > /a; mkdir -m 700 /d; ln -s a /l; ln /a /h'),
  one('env', 'env | grep -v -e ^OTEL -e ^TRACEPARENT | sort > /out', {
    meta: { env: [PATH, 'B=2', 'A=1', 'B=3', 'EMPTY='] },
  }),
  one('no-env', 'env | grep -v -e ^OTEL -e ^TRACEPARENT | sort > /out', { meta: { env: [] } }),
  one('cwd', 'pwd > /out', { meta: { cwd: '/tmp' } }),
  one('cwd-is-made', 'pwd > /out; ls -ld /new/dir | cut -c1-10 >> /out', { meta: { cwd: '/new/dir' } }),
  one('user-number', 'id -u > /tmp/out; id -g >> /tmp/out', { meta: { user: '1234' } }),
  one('user-and-group', 'id -u > /tmp/out; id -g >> /tmp/out; echo $HOME >> /tmp/out', {
    meta: { user: '12:34' },
  }),
  one('user-name', 'id > /tmp/out; echo $HOME >> /tmp/out', { meta: { user: 'nobody' } }),
  { ...one('user-unknown', 'true', { meta: { user: 'nobody-here' } }), fails: 'nobody-here' },
  one('hostname', 'hostname > /out', { meta: { hostname: 'somewhere' } }),
  one('hostname-default', 'hostname > /out'),
  one('extra-hosts', 'grep -v localhost /etc/hosts | grep -v buildkitsandbox > /out || true', {
    meta: {
      extraHosts: [
        { Host: 'one', IP: '1.2.3.4' },
        { Host: 'two', IP: 'fe80::1' },
      ],
    },
  }),
  one('hosts', 'cat /etc/hosts > /out'),
  one('proxy', 'env | grep -i proxy | sort > /out', {
    meta: {
      proxyEnv: { httpProxy: 'http://a', httpsProxy: 'http://b', ftpProxy: 'c', noProxy: 'd', allProxy: 'e' },
    },
  }),
  one('ulimits', 'ulimit -n > /out; ulimit -c >> /out', {
    meta: {
      ulimit: [
        { Name: 'nofile', Soft: 333n, Hard: 444n },
        { Name: 'core', Soft: 0n, Hard: 0n },
      ],
    },
  }),
  one('exit-codes', 'exit 7', { meta: { validExitCodes: [7] } }),
  { ...one('exit-code', 'exit 7'), fails: 'exit code: 7' },
  { ...one('exit-code-zero-not-valid', 'true', { meta: { validExitCodes: [7] } }), fails: 'exit code: 0' },
  { ...one('signal', "sh -c 'kill -9 $$'; exit $?"), fails: 'exit code: 137' },
  { ...one('no-such-program', '', { meta: { args: ['/no/such'] } }), fails: '/no/such' },
  one('network-none', 'ls /sys/class/net > /out', { network: NetMode.NONE }),
  {
    ...one('network-host', 'true', { network: NetMode.HOST }),
    fails: 'failed to load LLB: network.host is not allowed',
  },
  {
    ...one('insecure', 'true', { security: SecurityMode.INSECURE }),
    fails: 'failed to load LLB: security.insecure is not allowed',
  },
  one('capabilities', 'grep ^Cap /proc/self/status > /out'),
  one('masked', 'head -c 1 /proc/timer_list | wc -c > /out; ls /proc/acpi >> /out 2>&1 || true'),
  { ...one('proc-is-read-only', 'echo 1 > /proc/sys/vm/drop_caches 2>&1'), fails: 'exit code: 1' },
  one('device-nodes', 'ls /dev | grep -v otel | sort > /out'),
  one('limits-of-files', 'umask > /out; cat /proc/self/cgroup | wc -l > /lines; rm /lines'),
  one('stdin-is-empty', 'wc -c > /out'),
  one('special-bits', 'touch /a; chmod 6755 /a; mkdir -m 2775 /d; chown 5:6 /d'),
  one('nothing', 'true'),
  one('changed-back', 'touch /etc/new; rm /etc/new; mv /etc/passwd /etc/p; mv /etc/p /etc/passwd'),
  one('removes', 'rm /etc/group; rm -rf /var'),
  one('replaces-directory', 'rm -rf /root; mkdir /root; echo x > /root/only'),
  one('directory-for-file', 'rm /etc/group; mkdir /etc/group; echo x > /etc/group/a'),
  one('file-for-directory', 'rm -rf /root; echo file > /root'),
  one('renamed-directory', 'mkdir /old; echo x > /old/a; mv /old /new'),
  {
    name: 'exec/on-almost-nothing',
    graph: ({ busybox }) => exec(file(undefined, copy(busybox, '/bin', '/bin')), 'echo x > /out'),
  },
  {
    name: 'exec/renamed-lower-directory',
    graph: ({ busybox }) =>
      exec(
        file(busybox, mkdir('/old'), mkfile('/old/a', 'a'), symlink('a', '/old/l')),
        'mv /old /new; rm /new/l',
      ),
  },
  one('args-with-spaces', '', {
    meta: { args: ['/bin/sh', '-c', 'printf "%s|" "$@" > /out', 'sh', 'a b', '', '"c"'] },
  }),
  one('path-from-env', '', { meta: { args: ['sh', '-c', 'echo found > /out'], env: [PATH] } }),
  one('read-only-root', 'touch /a 2>/dev/null && exit 1; true', {
    root: { readonly: true, output: -1 },
    mounts: [{ dest: '/out', output: 0 }],
  }),
  {
    name: 'exec/failing-quotes-the-command',
    graph: ({ busybox }) => exec(busybox, 'echo "a b"; exit 3'),
    fails: 'process "/bin/sh -ec echo \\"a b\\"; exit 3" did not complete successfully: exit code: 3',
  },
  one('secret-env-optional', 'echo "<$TOKEN>" > /out', {
    secretenv: [{ ID: 'none', name: 'TOKEN', optional: true }],
  }),
  {
    ...one('secret-env', 'echo $TOKEN | wc -c > /out', { secretenv: [{ ID: 'id', name: 'TOKEN' }] }),
    secrets: { id: 'hush' },
  },
  {
    ...one('secret-env-missing', 'true', { secretenv: [{ ID: 'none', name: 'TOKEN' }] }),
    fails: 'none: not found',
  },
  {
    ...one('device-unknown', 'true', { cdiDevices: [{ name: 'vendor.example/device' }] }),
    fails: 'required device "vendor.example/device" is not registered',
  },
  one('device-optional', 'echo ran > /out', {
    cdiDevices: [{ name: 'vendor.example/device', optional: true }],
  }),
];
