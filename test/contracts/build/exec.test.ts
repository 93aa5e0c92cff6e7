import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DriversWorld } from './drivers-world.ts';

let world: DriversWorld;
beforeEach(async () => {
  world = await DriversWorld.open();
});
afterEach(() => world[Symbol.asyncDispose]());

describe('a command', () => {
  it('changes files, and leaves what was there as it was', async () => {
    const base = await world.busybox();
    const after = await world.sh(base, 'echo new > /new; rm /etc/passwd; echo more >> /etc/group');
    expect(after.layers).toHaveLength(base.layers.length + 1);
    expect(await world.read(after, 'new')).toBe('new\n');
    expect(await world.ask(after, 'ls /etc')).not.toContain('passwd');
    expect(await world.ask(base, 'ls /etc')).toContain('passwd');
  });

  it('tells what it wrote, by stream', async () => {
    await world.sh(await world.busybox(), 'echo out; echo err >&2');
    const text = (stream: string) =>
      world.logs.filter((log) => log.stream === stream).map(({ data }) => Buffer.from(data).toString());
    expect([text('stdout').join(''), text('stderr').join('')]).toEqual(['out\n', 'err\n']);
  });

  it('fails in BuildKit’s words and in the classic builder’s', async () => {
    const failing = world.sh(await world.busybox(), 'exit 7');
    await expect(failing).rejects.toMatchObject({
      kind: 'invalid',
      exitCode: 7,
      message: 'process "/bin/sh -c exit 7" did not complete successfully: exit code: 7',
      classicMessage: "The command '/bin/sh -c exit 7' returned a non-zero code: 7",
    });
    expect(await world.leftovers()).toEqual([]);
  });
});
