import { existsSync } from 'node:fs';
import { symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
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

describe('a bind mount', () => {
  const at = (more: Partial<ExecMount> = {}) =>
    ({ type: 'bind', dest: '/mnt', input: 1, ...more }) as ExecMount;

  it('shows another file system, or a part of it', async () => {
    const other = await world.sh(base, 'mkdir -p /d/e; echo f > /d/e/f; ln -s d/e /link');
    const mounts = [at({ selector: '/link/f', readonly: true })];
    expect(await world.ask(base, 'cat /mnt', { mounts, inputs: [other] })).toBe('f\n');
    const readonly = world.ask(base, 'echo x > /mnt/x', {
      mounts: [at({ readonly: true })],
      inputs: [other],
    });
    await expect(readonly).rejects.toMatchObject({ exitCode: 1 });
    const missing = world.ask(base, 'true', { mounts: [at({ selector: '/nothing' })], inputs: [other] });
    await expect(missing).rejects.toMatchObject({ kind: 'not-found', message: '"/nothing": not found' });
  });

  it('may be written to: for nobody, or as an output', async () => {
    const other = await world.sh(base, 'echo old > /file');
    const write = 'echo new > /mnt/file; cat /mnt/file';
    expect(await world.ask(base, write, { mounts: [at()], inputs: [other] })).toBe('new\n');
    expect(await world.read(other, 'file')).toBe('old\n');
    const outputs = await world.run(execOf(write, { mounts: [at({ output: 1 })] }), [base, other]);
    expect(await world.read(outputs[1]!, 'file')).toBe('new\n');
    expect((outputs[1] as LayersRef).layers).toHaveLength(other.layers.length + 1);
    // What is mounted is not the root's.
    expect(await world.list(outputs[0]!, '%P\\n')).not.toContain('mnt');
  });

  it('shows a client’s directory, which stays as it is', async () => {
    const folder = await world.folder('context');
    await writeFile(join(folder, 'file'), 'client\n');
    const inputs = [world.directory(folder)];
    const write = 'echo mine > /mnt/file; echo more > /mnt/new; cat /mnt/file';
    expect(await world.ask(base, write, { mounts: [at()], inputs })).toBe('mine\n');
    const outputs = await world.run(execOf(write, { mounts: [at({ output: 1 })] }), [base, ...inputs]);
    expect(await world.list(outputs[1]!, '%P\\n')).toEqual(['file', 'new']);
    expect(
      await world.ask(base, 'ls /mnt; cat /mnt/file', { mounts: [at({ readonly: true })], inputs }),
    ).toBe('file\nclient\n');
  });

  it('does not lead out by a link in a client’s directory', async () => {
    const folder = await world.folder('links');
    await symlink('/', join(folder, 'root'));
    await symlink('../../..', join(folder, 'up'));
    for (const selector of ['/root/etc/shadow', '/up/etc/shadow', '/../../etc/shadow']) {
      const mounts = [at({ selector, readonly: true })];
      const asking = world.ask(base, 'cat /mnt', { mounts, inputs: [world.directory(folder)] });
      await expect(asking).rejects.toMatchObject({ kind: 'not-found' });
    }
  });
});

describe('a cache mount', () => {
  const cache = (more: object = {}) =>
    ({ type: 'cache', dest: '/cache', id: 'c', sharing: 'shared', ...more }) as ExecMount;
  const use = (command: string, mount: ExecMount, inputs: LayersRef[] = []) =>
    world.ask(base, command, { mounts: [mount], inputs });

  it('keeps files from one command to the next, and no layer has them', async () => {
    await use('echo kept > /cache/file', cache());
    expect(await use('cat /cache/file', cache())).toBe('kept\n');
    expect(await use('ls /cache', cache({ id: 'another' }))).toBe('');
    const after = await world.sh(base, 'echo x > /cache/x', { mounts: [cache()] });
    expect(await world.list(after, '%P\\n')).not.toContain('cache');
    await world.drivers.cacheMounts.settled();
    const usage = await world.drivers.cacheMounts.usage();
    expect(usage.find(({ description }) => description === 'c')).toMatchObject({
      bytes: 7,
      inUse: false,
      usageCount: 3,
    });
  });

  it('begins with what it is given, with its owner and mode', async () => {
    const seed = await world.sh(base, 'mkdir -m 700 /cache; chown 33:33 /cache; echo seed > /cache/seed');
    const mount = cache({ id: 'seeded', input: 1, selector: '/cache' });
    expect(
      await use('ls -ldn /cache | cut -d" " -f1; cat /cache/seed; echo more > /cache/more', mount, [seed]),
    ).toBe('drwx------\nseed\n');
    expect(await use('ls /cache', mount, [seed])).toBe('more\nseed\n');
  });

  it('is one’s own when it is private, and waited for when it is locked', async () => {
    const mine = cache({ id: 'private', sharing: 'private' });
    const script = 'echo $$ >> /cache/pids; sleep 1; wc -l < /cache/pids';
    const counts = await Promise.all([1, 2].map(() => world.sh(base, script, { mounts: [mine] })));
    expect(counts).toHaveLength(2);
    expect(world.output.trim().split(/\s+/)).toEqual(['1', '1']);
    world.logs.length = 0;
    const locked = cache({ id: 'locked', sharing: 'locked' });
    const alone = 'test ! -e /cache/busy; touch /cache/busy; sleep 0.5; rm /cache/busy';
    await Promise.all([1, 2, 3].map(() => world.sh(base, `set -e; ${alone}`, { mounts: [locked] })));
  });

  it('is the same directory wherever a command has it, and taken once', async () => {
    const mounts = ['/one', '/two'].map((dest) => cache({ id: 'twice', sharing: 'locked', dest }));
    expect(await world.ask(base, 'touch /one/file; ls /two', { mounts })).toBe('file\n');
  });

  it('does not make commands wait for each other that want the same ones', async () => {
    const mounts = ['left', 'right'].map((id, at) => cache({ id, sharing: 'locked', dest: `/${at}` }));
    const crossed = ['right', 'left'].map((id, at) => cache({ id, sharing: 'locked', dest: `/${at}` }));
    const wishes = [mounts, crossed, mounts, crossed];
    await Promise.all(wishes.map((wanted) => world.sh(base, 'true', { mounts: wanted })));
  });

  it('is begun anew once by a build that is not to use the cache', async () => {
    const mounts = [cache({ id: 'renewed' })];
    const count = async (ignoreCache: boolean) => {
      const script = 'ls /cache | wc -l; mktemp /cache/XXXXXX > /dev/null';
      return Number(await world.ask(base, script, { mounts, ignoreCache }));
    };
    expect([await count(false), await count(false)]).toEqual([0, 1]);
    expect([await count(true), await count(true)]).toEqual([0, 1]);
    world.connectAnew();
    expect([await count(false), await count(true), await count(false)]).toEqual([2, 0, 1]);
  });

  it('does not lead out by a link that a command has left in it', async () => {
    await use(
      'ln -s / /cache/root; ln -s ../../../../.. /cache/up; mkdir /cache/real',
      cache({ id: 'links' }),
    );
    for (const selector of ['/root/etc/shadow', '/up/etc/shadow']) {
      await expect(use('cat /cache', cache({ id: 'links', selector }))).rejects.toMatchObject({
        kind: 'not-found',
      });
    }
    expect(await use('touch /cache/x; ls /cache', cache({ id: 'links', selector: '/real' }))).toBe('x\n');
  });

  it('goes when it is removed', async () => {
    const { cacheMounts } = world.drivers;
    const freed = await Promise.all((await cacheMounts.usage()).map(({ id }) => cacheMounts.remove(id)));
    expect(freed.length).toBeGreaterThan(0);
    expect(freed).not.toContain(undefined);
    expect(await cacheMounts.remove('nothing')).toBeUndefined();
    expect(await cacheMounts.usage()).toEqual([]);
    expect(await use('ls /cache', cache())).toBe('');
  });

  it('goes when there is too much, the least recently used first', async () => {
    await using small = await DriversWorld.open({ drivers: { maxCacheMountBytes: 1000 } });
    const root = await small.busybox();
    for (const id of ['a', 'b', 'c']) {
      await small.sh(root, 'head -c 600 /dev/zero > /cache/x', { mounts: [cache({ id })] });
      await small.drivers.cacheMounts.settled();
    }
    expect((await small.drivers.cacheMounts.usage()).map(({ description }) => description)).toEqual(['c']);
  });
});

describe('what is private', () => {
  const secret = (more: object = {}) =>
    ({ type: 'secret', dest: '/run/secrets/s', id: 's', ...more }) as ExecMount;

  it('is a secret’s file, in memory, with its owner and mode', async () => {
    world.session.secrets.set('s', 'sesame');
    const mounts = [secret({ uid: 33, gid: 33, mode: 0o440 })];
    const command =
      'cat /run/secrets/s; echo; stat -c "%a %u %g" /run/secrets/s; grep /run/secrets/s /proc/mounts';
    const after = await world.sh(base, command, { mounts });
    expect(world.output).toMatch(/^sesame\n440 33 33\ntmpfs \/run\/secrets\/s tmpfs ro,nosuid,nodev,noexec/);
    expect(await world.list(after, '%P\\n')).not.toContain('run');
  });

  it('may be missing where it is optional', async () => {
    expect(
      await world.ask(base, 'ls /run 2>&1 || true', { mounts: [secret({ id: 'no', optional: true })] }),
    ).toContain('No such file');
    await expect(world.ask(base, 'true', { mounts: [secret({ id: 'no' })] })).rejects.toMatchObject({
      kind: 'not-found',
      message: 'secret no: not found',
    });
  });

  it('is a variable, which nobody keeps', async () => {
    world.session.secrets.set('token', 'abc');
    const secretEnv = [{ id: 'token', name: 'TOKEN' }];
    expect(await world.ask(base, 'echo $TOKEN', { secretEnv })).toBe('abc\n');
  });

  it('is an agent’s socket', async () => {
    world.session.agents.add('default');
    const mounts = [{ type: 'ssh', dest: '/run/agent.sock', id: 'default', uid: 33 } as ExecMount];
    const output = await world.ask(
      base,
      'stat -c "%F %u" /run/agent.sock; nc local:/run/agent.sock < /dev/null || true',
      {
        mounts,
      },
    );
    expect(output).toContain('socket 33');
    const missing = [{ type: 'ssh', dest: '/run/agent.sock', id: 'none' } as ExecMount];
    await expect(world.ask(base, 'true', { mounts: missing })).rejects.toMatchObject({ kind: 'not-found' });
  });
});

describe('a tmpfs', () => {
  it('is empty, bounded, and in no layer', async () => {
    const mounts = [{ type: 'tmpfs', dest: '/big', size: 1024 * 1024 } as ExecMount];
    const script =
      'dd if=/dev/zero of=/big/x bs=1M count=2 2>&1 || echo full; cp /bin/busybox /big/b || true';
    const after = await world.sh(base, script, { mounts });
    expect(world.output).toContain('No space left');
    expect(await world.list(after, '%P\\n')).not.toContain('big');
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
