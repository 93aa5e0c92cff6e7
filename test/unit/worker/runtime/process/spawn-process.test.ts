import { readdirSync } from 'node:fs';
import { buffer, text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { exitCodeOf, type SpawnStdio, spawnProcess } from '#worker/runtime/process/spawn-process.ts';

const sh = (script: string, stdio: SpawnStdio[] = ['ignore', 'read', 'read'], cwd?: string) =>
  spawnProcess('/bin/sh', ['-c', script], {
    env: { PATH: '/bin:/usr/bin', WHO: 'it' },
    stdio,
    ...(cwd && { cwd }),
  });

describe('a spawned process', () => {
  it('has the environment, directory and streams that it was given, and nothing of ours', async () => {
    const child = await sh(
      'echo "$WHO in $(pwd)"; cat >&2; env | wc -l; exit 3',
      ['write', 'read', 'read'],
      '/usr',
    );
    child.stdio[0]!.end('typed\n');
    expect(await Promise.all([text(child.stdio[1]!), text(child.stdio[2]!)])).toEqual([
      expect.stringMatching(/^it in \/usr\n[0-3]\n$/),
      'typed\n',
    ]);
    expect(await child.exited).toEqual({ code: 3, signal: null });
  });

  it('may open its own streams by name', async () => {
    const child = await sh('echo a > /dev/stderr; echo b > /dev/stdout');
    expect(await Promise.all([text(child.stdio[1]!), text(child.stdio[2]!)])).toEqual(['b\n', 'a\n']);
  });

  it('heeds the signals that Node ignores, and is in a session of its own', async () => {
    const child = await sh('kill -PIPE $$; echo survived');
    expect(await text(child.stdio[1]!)).toBe('');
    expect(exitCodeOf(await child.exited)).toBe(141);
    const session = await sh('cut -d" " -f1,6 /proc/self/stat; exec true');
    const [own, leader] = (await text(session.stdio[1]!)).trim().split(' ').map(Number);
    expect(leader).toBe(session.pid);
    expect(own).not.toBe(process.pid);
  });

  it('is killed while it runs, and left alone after', async () => {
    const child = await sh('sleep 1000', ['ignore', 'ignore', 'ignore']);
    child.kill('SIGKILL');
    expect(await child.exited).toEqual({ code: null, signal: 9 });
    child.kill('SIGKILL');
  });

  it('writes more than a pipe holds', async () => {
    const child = await sh('head -c 3000000 /dev/zero');
    expect((await buffer(child.stdio[1]!)).length).toBe(3_000_000);
  });

  it.each([
    ['/no/such/program', 'ENOENT'],
    ['/etc/passwd', 'EACCES'],
  ])('that cannot be is an error: %s', async (path, code) => {
    const before = readdirSync('/proc/self/fd').length;
    const spawned = spawnProcess(path, [], { env: {}, stdio: ['write', 'read', 'read'] });
    await expect(spawned).rejects.toMatchObject({ code });
    expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before);
  });
});

it('tells the ends of many children apart', async () => {
  const codes = await Promise.all(
    Array.from({ length: 40 }, async (_, code) => (await (await sh(`exit ${code}`, ['ignore'])).exited).code),
  );
  expect(codes).toEqual(Array.from({ length: 40 }, (_, code) => code));
});
