import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { audit } from '#cli/commands/audit.ts';
import type { Command, CommandGroup } from '#cli/commands/command.ts';
import { policy } from '#cli/commands/policy.ts';
import { robot } from '#cli/commands/robot.ts';
import { token } from '#cli/commands/token.ts';
import { user } from '#cli/commands/user.ts';
import { printedBy } from './command-line.ts';

const commands: Readonly<Record<string, Command | CommandGroup>> = { audit, policy, robot, token, user };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-commands-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const slipway = (line: string) => printedBy(commands, folder, line);

const json = async (line: string) => JSON.parse(await slipway(`${line} --json`));
const names = (rows: { name: string }[]) => rows.map(({ name }) => name);

describe('slipway user', () => {
  it('adds, lists, disables, enables and removes', async () => {
    expect(await slipway('user add ada --no-password --email ada@x.org --admin')).toMatch(
      /^made ada, who may/,
    );
    await slipway('user add bob --no-password');
    expect(await json('user list')).toMatchObject([{ name: 'ada', email: 'ada@x.org' }, { name: 'bob' }]);
    expect(await slipway('user list')).toMatch(/^NAME +STATE .*\nada +no password .*\nbob /);
    expect(await json('policy list --subject user:ada')).toMatchObject([
      { pattern: '**', actions: ['admin'] },
    ]);
    await slipway('user disable bob');
    expect(await slipway('user list')).toMatch(/\nbob +disabled/);
    await slipway('user enable bob');
    expect(await slipway('user list')).toMatch(/\nbob +no password/);
    await slipway('user remove bob');
    expect(names(await json('user list'))).toEqual(['ada']);
  });
});

describe('slipway robot', () => {
  it('adds with grants and a secret, lists, disables, enables and removes', async () => {
    const made = await json('robot add ci --description builds --expires 90d --grant team/**=pull,push');
    expect(made).toMatchObject({ name: 'ci', description: 'builds', secret: expect.stringMatching(/^slr_/) });
    expect((made.expiresAt - Date.now()) / 86_400_000).toBeCloseTo(90, 1);
    expect(await json('policy list --subject robot:ci')).toMatchObject([
      { pattern: 'team/**', actions: ['pull', 'push'] },
    ]);
    await slipway('robot disable ci');
    expect(await json('robot list')).toMatchObject([{ name: 'ci', disabled: true }]);
    await slipway('robot enable ci');
    expect(await slipway('robot list')).toMatch(/\nci +active +builds/);
    await slipway('robot remove ci');
    expect(await json('robot list')).toEqual([]);
  });
});

describe('slipway token', () => {
  it('creates, lists and revokes', async () => {
    const secret = (await slipway('token create user:ada --limit team/**=pull --description laptop')).trim();
    expect(secret).toMatch(/^slp_\w+_[\w-]{43}$/);
    const [listed] = await json('token list user:ada');
    expect(listed).toMatchObject({
      description: 'laptop',
      permissions: [{ pattern: 'team/**', actions: ['pull'] }],
    });
    expect(await slipway('token list user:ada')).toContain('team/**=pull');
    await slipway(`token revoke user:ada ${listed.id}`);
    expect(await json('token list user:ada')).toEqual([]);
  });

  it('rotates keys', async () => {
    const { kid } = await json('token rotate-keys');
    expect(await json('token keys')).toMatchObject([{ kid, signs: true }]);
    const { kid: other } = await json('token rotate-keys --revoke-others');
    expect((await json('token keys')).map((key: { kid: string }) => key.kid)).toEqual([other]);
  });
});

describe('slipway policy', () => {
  it('grants and revokes', async () => {
    await slipway('policy grant anonymous public/** pull');
    expect(await slipway('policy list')).toMatch(/\nanonymous +public\/\*\* +pull +system/);
    await slipway('policy revoke anonymous public/**');
    expect(await slipway('policy list')).not.toContain('anonymous');
  });

  it('trusts issuers, and no longer', async () => {
    const claims = '--claim repository=acme/* --claim ref=refs/heads/main --claim ref=refs/tags/*';
    await slipway(`policy trust ci --issuer https://ci.example --audience slipway ${claims}`);
    expect(await json('policy trusted')).toMatchObject([
      { name: 'ci', claims: { repository: ['acme/*'], ref: ['refs/heads/main', 'refs/tags/*'] } },
    ]);
    await slipway('policy untrust ci');
    expect(await json('policy trusted')).toEqual([]);
  });

  it('keeps groups', async () => {
    await slipway('policy group-add devs user:ada');
    expect(await json('policy groups')).toEqual([{ group: 'devs', member: 'user:ada' }]);
    await slipway('policy group-remove devs user:ada');
    expect(await json('policy groups')).toEqual([]);
  });
});

it.each([
  ['user remove nobody', 1, /there is no user 'nobody'/],
  ['user add ada --no-password', 1, /exists|taken|already/],
  ['user add UPPER --no-password', 1, /invalid name/],
  ['user add', 2, /NAME is missing[\s\S]*Usage: slipway user add/],
  ['user add a b', 2, /unexpected argument 'b'/],
  ['user ad', 2, /unknown command 'user ad'/],
  ['user list --nope', 2, /--nope/],
  ['robot add x --expires soon', 2, /'soon' is no moment/],
  ['robot add x --grant team', 2, /expected PATTERN=ACTIONS/],
  ['robot add x --grant team=fly', 1, /expected some of pull/],
  ['token create group:a', 1, /has no secrets/],
  ['token revoke user:ada none', 1, /no/],
  ['policy grant anonymous a push', 1, /only pull/],
  ['policy grant nobody a pull', 1, /invalid subject/],
  ['policy trust x --issuer https://ci.example', 1, /audience/],
  ['policy trust x --claim nonsense', 2, /expected CLAIM=PATTERN/],
  ['audit --limit 0', 2, /expected a number/],
])('refuses: slipway %s', async (line, exitCode, message) => {
  await expect(slipway(line)).rejects.toThrow(expect.objectContaining({ name: 'Refusal', exitCode }));
  await expect(slipway(line)).rejects.toThrow(message);
});

it('leaves no robot behind whose grants are refused', async () => {
  expect(await json('robot list')).toEqual([]);
});

it.each(Object.keys(commands))('says how: slipway %s --help', async (name) => {
  expect(await slipway(`${name} --help`)).toMatch(/^Usage: slipway /);
});

it('wrote it all to the audit log', async () => {
  const entries = await json('audit --actor system --since 1h --limit 1000');
  const actions = new Set(entries.map(({ action }: { action: string }) => action));
  for (const action of [
    'user.create',
    'robot.create',
    'secret.delete',
    'grant.put',
    'trust.delete',
    'keys.rotate',
  ]) {
    expect(actions).toContain(action);
  }
  expect(JSON.stringify(entries)).not.toMatch(/sl[pr]_/);
});
