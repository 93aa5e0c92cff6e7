import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { seedImages } from '../images/stand-ins.ts';
import { startSlipway } from './harness/slipway.ts';

let context: string;
beforeEach(() => {
  context = mkdtempSync(join(tmpdir(), 'slipway-myapp-'));
  cpSync(fileURLToPath(new URL('contexts/myapp', import.meta.url)), context, { recursive: true });
});
afterEach(() => rmSync(context, { recursive: true }));

it('docker build -t myapp . && docker run -p 3000:3000 myapp', async () => {
  await using slipway = await startSlipway();
  await seedImages(slipway.registry, ['node']);
  const build = async () => {
    const { code, stdout, stderr } = await slipway.docker(['build', '-t', 'myapp', '.'], { cwd: context });
    expect({ code, stdout, stderr }).toSucceed();
    return stdout;
  };
  const usesCache = (output: string) =>
    output
      .split(/^Step /m)
      .slice(1)
      .map((step) => step.includes('---> Using cache'));

  const first = await build();
  expect(first).toMatch(/^Step 1\/8 : FROM node:24$/m);
  expect(first).toMatch(/^Step 5\/8 : RUN npm install$/m);
  expect(first).toMatch(/^added 1 package/m);
  expect(first).toMatch(/^Successfully built [0-9a-f]{12}$/m);
  expect(first).toMatch(/^Successfully tagged myapp:latest$/m);
  expect(usesCache(first)).toEqual([false, false, false, false, false, false, false, false]);

  expect(usesCache(await build())).toEqual([false, true, true, true, true, true, true, true]);

  writeFileSync(join(context, 'notes.txt'), 'changed');
  expect(usesCache(await build())).toEqual([false, true, true, true, true, false, false, false]);

  await slipway.dockerOk('run', '-d', '--name', 'app', '-p', '3000:3000', 'myapp');
  const answer = () =>
    fetch('http://127.0.0.1:3000/').then(
      (response) => response.text(),
      () => '',
    );
  await expect.poll(answer, { timeout: 60_000 }).toBe('Hello from Slipway\n');

  // What was built here is in the registry without going through anything else.
  const reference = `${slipway.registry}/team/myapp:1.0`;
  await slipway.dockerOk('tag', 'myapp', reference);
  expect(await slipway.dockerOk('push', reference)).toMatch(/1\.0: digest: sha256:[0-9a-f]{64} size: \d+/);
  const tags = await fetch(`http://${slipway.registry}/v2/team/myapp/tags/list`);
  expect(await tags.json()).toEqual({ name: 'team/myapp', tags: ['1.0'] });
});

it("a step that fails ends the build with that step's exit code", async () => {
  await using slipway = await startSlipway();
  await seedImages(slipway.registry, ['busybox']);
  writeFileSync(join(context, 'Dockerfile'), 'FROM busybox\nRUN echo before && exit 9\nRUN echo after\n');
  const { code, stdout, stderr } = await slipway.docker(['build', '.'], { cwd: context });
  expect(code).toBe(9);
  expect(stdout).toContain('before\n');
  expect(stdout).not.toContain('after\n');
  expect(stderr).toContain("The command '/bin/sh -c echo before && exit 9' returned a non-zero code: 9");
});
