import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { dockerCredentials } from '#cli/build/docker-credentials.ts';

let folder: string;
const path = process.env.PATH;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-docker-'));
});
afterEach(() => {
  process.env.PATH = path;
  rmSync(folder, { recursive: true });
});

const settings = (value: unknown) => writeFileSync(join(folder, 'config.json'), JSON.stringify(value));
const auth = (text: string) => ({ auth: Buffer.from(text).toString('base64') });

it('are what docker login has written', async () => {
  settings({
    auths: {
      'registry.example:5000': auth('ann:pass:word'),
      'https://old.example': auth('bob:secret'),
      'https://index.docker.io/v1/': auth('hub:hubbub'),
      'token.example': { ...auth('x:y'), identitytoken: 'refresh' },
      'empty.example': {},
    },
  });
  const of = (host: string) => dockerCredentials(folder, host);
  expect(await of('registry.example:5000')).toEqual({ username: 'ann', secret: 'pass:word' });
  expect(await of('old.example')).toEqual({ username: 'bob', secret: 'secret' });
  expect(await of('registry-1.docker.io')).toEqual({ username: 'hub', secret: 'hubbub' });
  expect(await of('token.example')).toEqual({ username: '', secret: 'refresh' });
  expect(await of('empty.example')).toBeUndefined();
  expect(await of('other.example')).toBeUndefined();
});

it('are those of a helper, if there is one', async () => {
  const answer = '{"ServerURL":"x","Username":"<token>","Secret":"from-helper"}';
  const script = `#!/bin/sh\nread host\n[ "$host" = helped.example ] && echo '${answer}' || exit 1\n`;
  writeFileSync(join(folder, 'docker-credential-test'), script, { mode: 0o755 });
  process.env.PATH = `${folder}${delimiter}${path}`;
  settings({ credsStore: 'missing', credHelpers: { 'helped.example': 'test', 'none.example': 'test' } });
  expect(await dockerCredentials(folder, 'helped.example')).toEqual({ username: '', secret: 'from-helper' });
  expect(await dockerCredentials(folder, 'none.example')).toBeUndefined();
  expect(await dockerCredentials(folder, 'other.example')).toBeUndefined();
});

it('are none without settings, and refused with settings that make no sense', async () => {
  expect(await dockerCredentials(folder, 'x')).toBeUndefined();
  writeFileSync(join(folder, 'config.json'), '{');
  await expect(dockerCredentials(folder, 'x')).rejects.toThrow('cannot be read');
});
