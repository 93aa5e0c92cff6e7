import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ExecMount } from '#worker/build/llb/op.ts';
import { EMPTY, type LayersRef } from '#worker/build/solve/ref.ts';
import { DriversWorld, execOf } from './drivers-world.ts';

const unified = existsSync('/sys/fs/cgroup/cgroup.controllers');

let world: DriversWorld;
let base: LayersRef;
beforeAll(async () => {
  world = await DriversWorld.open();
  base = await world.busybox();
});
beforeEach(() => world.begin());
afterEach(async () => expect(await world.leftovers()).toEqual([]));
afterAll(() => world[Symbol.asyncDispose]());

describe('a command', () => {
  it('changes files, and leaves what was there as it was', async () => {
    const after = await world.sh(base, 'echo new > /new; rm /etc/passwd; echo more >> /etc/group');
    expect(after.layers).toHaveLength(base.layers.length + 1);
    expect(await world.read(after, 'new')).toBe('new\n');
    expect(await world.ask(after, 'ls /etc')).not.toContain('passwd');
    expect(await world.ask(base, 'ls /etc')).toContain('passwd');
  });

  it('tells what it wrote, by stream', async () => {
    await world.sh(base, 'echo out; echo err >&2');
    const text = (stream: string) =>
      world.logs.filter((log) => log.stream === stream).map(({ data }) => Buffer.from(data).toString());
    expect([text('stdout').join(''), text('stderr').join('')]).toEqual(['out\n', 'err\n']);
  });

  it('fails in BuildKit’s words and in the classic builder’s', async () => {
    await expect(world.sh(base, 'exit 7')).rejects.toMatchObject({
      kind: 'invalid',
      exitCode: 7,
      message: 'process "/bin/sh -c exit 7" did not complete successfully: exit code: 7',
      classicMessage: "The command '/bin/sh -c exit 7' returned a non-zero code: 7",
    });
    await expect(world.sh(base, `sh -c 'kill -9 $$'; exit $?`)).rejects.toMatchObject({ exitCode: 137 });
    await expect(world.sh(base, 'exit 7', { validExitCodes: [7] })).resolves.toBeDefined();
    await expect(world.sh(base, '', { args: ['/nowhere'] })).rejects.toMatchObject({
      kind: 'invalid',
      message: expect.stringMatching(/^process "\/nowhere" did not complete.*no such file or directory/),
    });
  });

  it('says which command has no user', async () => {
    await expect(world.sh(base, 'id', { user: 'x' })).rejects.toMatchObject({
      message:
        'process "/bin/sh -c id" did not complete successfully: unable to find user x: no matching entries in passwd file',
    });
  });

  it('finds names in the same file as with BuildKit', async () => {
    const extraHosts = [{ host: 'pinned', ip: '10.9.8.7' }];
    expect(await world.ask(base, 'cat /etc/hosts', { extraHosts })).toBe(
      '127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n10.9.8.7\tpinned\n',
    );
  });

  it('is told that its memory was not enough', async () => {
    world.limits = { ...world.limits, resources: { memory: 16 * 1024 * 1024 } };
    const hungry = world.sh(base, 'exec awk \'BEGIN { s = "x"; while (1) s = s s }\'');
    await expect(hungry).rejects.toMatchObject({
      exitCode: 137,
      message: expect.stringMatching(/did not complete successfully: cannot allocate memory$/),
    });
  });

  it('leaves nothing of what is made to mount on, but what every system has', async () => {
    const after = await world.sh(EMPTY, '', {
      args: ['/bin/busybox', 'true'],
      mounts: [{ type: 'bind', dest: '/bin', input: 1, selector: '/bin', readonly: true }],
      inputs: [base],
    });
    expect(await world.list(after, '%P %y %m\\n')).toEqual(['dev d 755', 'proc d 755', 'sys d 755']);
  });

  it('has the environment, the user, the directory and the host name that it asks for', async () => {
    const output = await world.ask(
      base,
      'echo $A $PROXY $HOME; id -u; id -g; pwd; hostname; grep -c pinned /etc/hosts',
      {
        env: ['PATH=/bin', 'A=1'],
        proxyEnv: ['PROXY=p', 'A=2'],
        user: 'www-data',
        cwd: '/var/log',
        extraHosts: [{ host: 'pinned', ip: '10.9.8.7' }],
      },
    );
    expect(output).toBe('1 p /var/www\n33\n33\n/var/log\nbuildkitsandbox\n1\n');
  });

  it('runs under the filter of system calls, and with the capabilities that containers have', async () => {
    const output = await world.ask(base, "grep -E '^(Seccomp|NoNewPrivs|CapEff):' /proc/self/status");
    expect(output).toMatch(/^CapEff:\t00000000a80[0-9a-f]{5}\n(?:NoNewPrivs:\t\d\n)?Seccomp:\t2\n$/);
  });

  it('is gone within a second when nobody wants it any more', async () => {
    const running = world.sh(base, 'trap "" TERM; while true; do sleep 1; done');
    setTimeout(() => world.cancel(), 700);
    const before = performance.now();
    await expect(running).rejects.toThrow();
    expect(performance.now() - before).toBeLessThan(30_000);
  });

  it('runs beside others', async () => {
    const outcomes = await Promise.all([1, 2, 3, 4].map((n) => world.sh(base, `echo ${n} > /n`)));
    expect(await Promise.all(outcomes.map((ref) => world.read(ref, 'n')))).toEqual([
      '1\n',
      '2\n',
      '3\n',
      '4\n',
    ]);
  });

  it('does not get what nobody has allowed', async () => {
    await expect(world.sh(base, 'true', { network: 'host' })).rejects.toMatchObject({
      kind: 'forbidden',
      message: 'network.host is not allowed',
    });
    await expect(world.sh(base, 'true', { security: 'insecure' })).rejects.toMatchObject({
      message: 'security.insecure is not allowed',
    });
    const caps = async (wishes = {}) =>
      (await world.ask(base, 'grep CapEff /proc/self/status', wishes)).trim();
    const sandboxed = await caps();
    world.limits = { ...world.limits, entitlements: new Set(['security.insecure']) };
    expect(await caps({ security: 'insecure' })).not.toBe(sandboxed);
  });

  it('has what its client says of the step, and no more than its worker gives', async () => {
    const shares = async (resources?: object) => {
      const [controller, file] = unified ? ['', 'cpu.weight'] : ['cpu/', 'cpu.shares'];
      const out = world.logs.length;
      const command = `cat /sys/fs/cgroup/${controller}${file}`;
      await world.run(execOf(command), [base], resources && { resources });
      return Buffer.concat(world.logs.slice(out).map(({ data }) => data))
        .toString()
        .trim();
    };
    const usual = await shares();
    world.limits = { ...world.limits, resources: { cpuShares: 512 } };
    const ofBuild = await shares();
    expect(new Set([usual, ofBuild, await shares({ cpuShares: 2048 })]).size).toBe(3);
    expect(await shares({ memory: 2 ** 30 })).toBe(ofBuild);

    const bounds = { memory: 2 ** 26, cpus: null, pids: 16, unconfined: true };
    world.limits = { ...world.limits, bounds };
    const file = unified ? 'memory.max' : 'memory/memory.limit_in_bytes';
    expect(await world.ask(base, `cat /sys/fs/cgroup/${file}`)).toBe(`${2 ** 26}\n`);
    await expect(world.run(execOf('true'), [base], { resources: { memory: 2 ** 27 } })).rejects.toMatchObject(
      { kind: 'forbidden', message: `steps may have at most ${2 ** 26} bytes of memory` },
    );
    const many = 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 5 & done; echo all';
    await expect(world.sh(base, many)).rejects.toMatchObject({ kind: 'invalid' });
    expect(world.output).not.toContain('all');
  });

  it('does not choose its control group where its worker does not let it', async () => {
    const bounds = { memory: null, cpus: null, pids: null, unconfined: false };
    world.limits = { entitlements: new Set(), bounds };
    const cgroupParent = `${world.cgroupParent}/own`;
    await expect(world.sh(base, 'true', { cgroupParent })).rejects.toMatchObject({
      kind: 'forbidden',
      message: 'cgroup-parent is not allowed',
    });
    const ulimits = [{ name: 'rtprio', soft: 9, hard: 9 }];
    await expect(world.sh(base, 'true', { ulimits })).rejects.toMatchObject({
      message: 'ulimit rtprio is not allowed',
    });
  });

  it('is refused for a processor that is not here', async () => {
    const vertex = world.vertex(execOf('true'), 1, { os: 'linux', architecture: 's390x' });
    await expect(world.drivers.ops.exec.run(vertex as never, [base], world.context)).rejects.toMatchObject({
      kind: 'unsupported',
      message: expect.stringContaining('linux/s390x'),
    });
  });
});

describe('what makes a command’s outcome', () => {
  const keyOf = async (wishes = {}, inputs: LayersRef[] = []) =>
    (await world.keys(execOf('true', wishes), [base, ...inputs])).digest;

  it('is not its proxies, its secrets, or which cache it has', async () => {
    const cache = (id: string): ExecMount => ({ type: 'cache', dest: '/c', id, sharing: 'shared' });
    expect(await keyOf({ proxyEnv: ['http_proxy=a'] })).toBe(await keyOf());
    expect(await keyOf({ extraHosts: [{ host: 'a', ip: '1.1.1.1' }] })).toBe(
      await keyOf({ extraHosts: [{ host: 'a', ip: '2.2.2.2' }] }),
    );
    expect(await keyOf({ mounts: [cache('a')] })).toBe(await keyOf({ mounts: [cache('b')] }));
    expect(await keyOf({ mounts: [cache('a')] })).not.toBe(await keyOf());
    expect(await keyOf({ env: ['A=1'] })).not.toBe(await keyOf());
  });

  it('is the contents of what is mounted, where that reaches no output', async () => {
    const one = await world.sh(base, 'mkdir /d; echo 1 > /d/f; echo x > /other');
    const two = await world.sh(base, 'mkdir /d; echo 1 > /d/f; echo y > /other');
    const mounts: ExecMount[] = [{ type: 'bind', dest: '/mnt', input: 1, selector: '/d', readonly: true }];
    const contents = async (ref: LayersRef) =>
      (await world.keys(execOf('true', { mounts }), [base, ref])).contents;
    expect(await contents(one)).toEqual([undefined, expect.any(String)]);
    expect(await contents(two)).toEqual(await contents(one));
    const written: ExecMount[] = [{ type: 'bind', dest: '/mnt', input: 1, selector: '/d', output: 1 }];
    expect((await world.keys(execOf('true', { mounts: written }), [base, one])).contents[1]).toBeUndefined();
  });
});

// A listener that a command must not be able to reach without a network.
describe('a command without a network', () => {
  it('reaches nothing', async () => {
    const server = createServer((socket) => socket.end('reached\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    try {
      const output = await world.ask(base, `nc -w 1 127.0.0.1 ${port} </dev/null 2>&1 || true`);
      expect(output).not.toContain('reached');
    } finally {
      server.close();
    }
  });
});
