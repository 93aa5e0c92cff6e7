import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { systemCode } from '#errors/errors.ts';
import type { Credentials } from '#worker/build/session/build-session.ts';
import { Refusal } from '../refusal.ts';

const entry = z.object({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
});
const settings = z.object({
  auths: z.record(z.string(), entry).default({}),
  credsStore: z.string().optional(),
  credHelpers: z.record(z.string(), z.string()).default({}),
});
const helperAnswer = z.object({ Username: z.string(), Secret: z.string() });

const DOCKER_HUB = 'https://index.docker.io/v1/';
const HELPER_MS = 30_000;
const MAX_ANSWER_BYTES = 1024 * 1024;

/** What `docker login` has left for a registry's host, in the CLI's settings or with its helpers. */
export async function dockerCredentials(directory: string, host: string): Promise<Credentials | undefined> {
  const { auths, credsStore, credHelpers } = await readSettings(join(directory, 'config.json'));
  const key = /^(?:registry-1\.|index\.)?docker\.io$/.test(host) ? DOCKER_HUB : host;
  const helper = credHelpers[key] ?? credsStore;
  if (helper) return await askHelper(helper, key);
  const found = auths[key] ?? auths[`https://${key}`] ?? auths[`http://${key}`];
  if (!found) return undefined;
  if (found.identitytoken) return { username: '', secret: found.identitytoken };
  if (found.username) return { username: found.username, secret: found.password ?? '' };
  const [, username, secret] =
    /^([^:]*):(.*)$/s.exec(Buffer.from(found.auth ?? '', 'base64').toString()) ?? [];
  return username && secret ? { username, secret: secret.replace(/\0+$/, '') } : undefined;
}

async function readSettings(file: string): Promise<z.infer<typeof settings>> {
  try {
    return settings.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return settings.parse({});
    throw new Refusal(`${file} cannot be read`, { cause: error });
  }
}

/** undefined when it has none, or is not there. */
async function askHelper(name: string, host: string): Promise<Credentials | undefined> {
  const helper = spawn(`docker-credential-${name}`, ['get'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    timeout: HELPER_MS,
  });
  helper.stdin.on('error', () => undefined);
  helper.stdin.end(host);
  let answer = '';
  helper.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (answer.length < MAX_ANSWER_BYTES) answer += text;
  });
  try {
    const [code] = await once(helper, 'close');
    if (code !== 0) return undefined;
    const { Username, Secret } = helperAnswer.parse(JSON.parse(answer));
    return { username: Username === '<token>' ? '' : Username, secret: Secret };
  } catch {
    return undefined;
  }
}
