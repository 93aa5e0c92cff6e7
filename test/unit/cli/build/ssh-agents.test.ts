import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { offerAgents } from '#cli/build/ssh-agents.ts';

const run = promisify(execFile);
const none = { agentSocket: undefined };
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-keys-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function key(name: string): Promise<string> {
  const path = join(folder, name);
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', path]);
  return path;
}

it('keys are lent by an agent that is gone afterwards', async () => {
  const keys = [await key('one'), await key('two')];
  let socket: string;
  {
    await using agents = await offerAgents([`default=${keys.join(',')}`], none);
    socket = agents.sockets.get('default')!;
    const { stdout } = await run('ssh-add', ['-L'], { env: { ...process.env, SSH_AUTH_SOCK: socket } });
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split(' ')[2]),
    ).toEqual(['one', 'two']);
  }
  expect(existsSync(socket)).toBe(false);
});

it('an agent that runs is lent as it is', async () => {
  const socket = join(folder, 'agent');
  const server = createServer().listen(socket);
  try {
    await using agents = await offerAgents(['default', `other=${socket}`], { agentSocket: socket });
    expect([...agents.sockets]).toEqual([
      ['default', socket],
      ['other', socket],
    ]);
    const mixed = offerAgents([`a=${await key('three')},${socket}`], none);
    await expect(mixed).rejects.toThrow('an agent is alone');
  } finally {
    server.close();
  }
});

it('what is no key is refused', async () => {
  const path = join(folder, 'text');
  writeFileSync(path, 'no key', { mode: 0o600 });
  await expect(offerAgents([`default=${path}`], none)).rejects.toThrow('does not take the key');
  await expect(offerAgents([`default=${join(folder, 'nothing')}`], none)).rejects.toThrow('no key');
  await expect(offerAgents(['default'], none)).rejects.toThrow('no agent runs');
});
