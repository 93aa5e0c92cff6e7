import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ExecMount } from '#worker/build/llb/op.ts';
import type { LayersRef } from '#worker/build/solve/ref.ts';
import { DriversWorld, execOf } from './drivers-world.ts';

let world: DriversWorld;
let base: LayersRef;
beforeAll(async () => {
  world = await DriversWorld.open();
  base = await world.busybox();
});
beforeEach(() => world.begin());
afterEach(async () => expect(await world.leftovers()).toEqual([]));
afterAll(() => world[Symbol.asyncDispose]());

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
