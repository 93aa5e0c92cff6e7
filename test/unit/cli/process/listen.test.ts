import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { listen } from '#cli/process/listen.ts';

let folder: string;
let socket: string;
const servers: Server[] = [];
const server = () => {
  const made = createServer();
  servers.push(made);
  return made;
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-listen-'));
  socket = join(folder, 'run', 'docker.sock');
});
afterEach(async () => {
  for (const made of servers.splice(0))
    if (made.listening) await new Promise((resolve) => made.close(resolve));
  rmSync(folder, { recursive: true });
});

it('says the port that it got', async () => {
  expect(await listen(server(), '127.0.0.1:0')).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
  expect(await listen(server(), 'tcp://127.0.0.1:0')).toMatch(/^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/);
});

it('refuses a port in use', async () => {
  const address = (await listen(server(), '127.0.0.1:0')).replace('http://', '');
  await expect(listen(server(), address)).rejects.toThrow(
    `cannot listen on ${address}: the address is in use`,
  );
});

it('makes a socket for owner and group', async () => {
  expect(await listen(server(), `unix://${socket}`, { group: 'no-such-group' })).toBe(`unix://${socket}`);
  expect(statSync(socket).mode & 0o777).toBe(0o660);
});

it('replaces a socket that nobody serves', async () => {
  const bind = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
  await listen(server(), `unix://${join(folder, 'run', 'other.sock')}`);
  spawnSync(process.execPath, ['--eval', bind, socket]);
  expect(existsSync(socket)).toBe(true);
  expect(await listen(server(), `unix://${socket}`)).toBe(`unix://${socket}`);
});

it('refuses a socket that is served, and what is no socket', async () => {
  await listen(server(), `unix://${socket}`);
  await expect(listen(server(), `unix://${socket}`)).rejects.toThrow(
    `another process already serves ${socket}`,
  );
  const file = join(folder, 'file');
  writeFileSync(file, '');
  await expect(listen(server(), `unix://${file}`)).rejects.toThrow('is in the way');
  expect(existsSync(file)).toBe(true);
});
