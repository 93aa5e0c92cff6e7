import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveUser } from '#worker/runtime/spec/user.ts';

describe('resolveUser', () => {
  let directory: string;
  let rootfs: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'slipway-user-'));
    rootfs = join(directory, 'rootfs');
    await mkdir(join(rootfs, 'etc'), { recursive: true });
    const passwd = [
      'root:x:0:0:root:/root:/bin/sh',
      '# comment',
      'app:x:1000:1001::/srv/app:/bin/sh',
      '77:x:5000:5001::/odd:/bin/sh',
    ];
    await writeFile(join(rootfs, 'etc/passwd'), `${passwd.join('\n')}\n`);
    await writeFile(
      join(rootfs, 'etc/group'),
      'root:x:0:\napp:x:1001:\nvideo:x:44:app,other\naudio:x:29:other\nbroken\n',
    );
  });
  afterEach(() => rm(directory, { recursive: true }));

  it.each([
    ['', { uid: 0, gid: 0, additionalGids: [0], home: '/root' }],
    ['root', { uid: 0, gid: 0, additionalGids: [0], home: '/root' }],
    ['app', { uid: 1000, gid: 1001, additionalGids: [1001, 44], home: '/srv/app' }],
    ['1000', { uid: 1000, gid: 1001, additionalGids: [1001, 44], home: '/srv/app' }],
    ['app:video', { uid: 1000, gid: 44, additionalGids: [44], home: '/srv/app' }],
    ['app:5', { uid: 1000, gid: 5, additionalGids: [5], home: '/srv/app' }],
    ['1234', { uid: 1234, gid: 0, additionalGids: [0], home: '/' }],
    ['1234:1235', { uid: 1234, gid: 1235, additionalGids: [1235], home: '/' }],
    ['77', { uid: 5000, gid: 5001, additionalGids: [5001], home: '/odd' }],
    [':44', { uid: 0, gid: 44, additionalGids: [44], home: '/root' }],
  ])('understands %j', async (user, expected) => {
    expect(await resolveUser(rootfs, user)).toEqual(expected);
  });

  it('adds groups by name and number', async () => {
    expect((await resolveUser(rootfs, 'app', ['audio', '99', '44'])).additionalGids).toEqual([
      1001, 44, 29, 99,
    ]);
  });

  it.each([
    ['nobody', 'unable to find user nobody: no matching entries in passwd file'],
    ['app:nogroup', 'unable to find group nogroup: no matching entries in group file'],
    ['app:a:b', 'unable to find group a:b: no matching entries in group file'],
    ['2147483648', 'uids and gids must be in range 0-2147483647'],
    ['-1', 'uids and gids must be in range 0-2147483647'],
  ])('refuses %j', async (user, message) => {
    await expect(resolveUser(rootfs, user)).rejects.toMatchObject({ kind: 'invalid', message });
  });

  it('works in an image without any of these files', async () => {
    await rm(join(rootfs, 'etc'), { recursive: true });
    expect(await resolveUser(rootfs, '')).toEqual({ uid: 0, gid: 0, additionalGids: [0], home: '/' });
    expect((await resolveUser(rootfs, '7:8')).gid).toBe(8);
  });

  it.each([
    ['/etc/secret', 'etc/secret'],
    ['../../secret', 'secret'],
    ['../../../../../../../../../etc/secret', 'etc/secret'],
  ])('follows a link to %s inside the image only', async (target, inside) => {
    await writeFile(join(directory, 'secret'), 'thief:x:666:666::/:\n');
    await rm(join(rootfs, 'etc/passwd'));
    await symlink(target, join(rootfs, 'etc/passwd'));
    await expect(resolveUser(rootfs, 'thief')).rejects.toMatchObject({ kind: 'invalid' });
    await writeFile(join(rootfs, inside), 'inner:x:5:6::/:\n');
    expect((await resolveUser(rootfs, 'inner')).uid).toBe(5);
  });

  it('does not follow links for ever', async () => {
    await rm(join(rootfs, 'etc/passwd'));
    await symlink('passwd', join(rootfs, 'etc/passwd'));
    await expect(resolveUser(rootfs, 'x')).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('reads no directory and no device in the place of a file', async () => {
    await rm(join(rootfs, 'etc/passwd'));
    await mkdir(join(rootfs, 'etc/passwd'));
    expect((await resolveUser(rootfs, '5')).uid).toBe(5);
  });
});
