import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { ClientEnvironment } from '#config/client-environment.ts';
import type { Offers } from '#worker/buildkit/client/offers.ts';
import { Refusal } from '../refusal.ts';
import { keyValues } from './key-values.ts';

/** `--secret id=ID,src=FILE` or `id=ID,env=NAME`. Throws `Refusal` for what is not there. */
export function offeredSecrets(texts: readonly string[], environment: ClientEnvironment): Offers['secrets'] {
  return new Map(
    texts.map((text) => {
      const fields = keyValues('--secret', text);
      const id = fields.get('id');
      const type = fields.get('type');
      if (!id) throw new Refusal(`--secret ${text}: id is missing`, { exitCode: 2 });
      const source = fields.get('src') ?? fields.get('source');
      const name = fields.get('env') ?? (type === 'env' ? (source ?? id) : undefined);
      return [id, name === undefined ? secretFile(source ?? id) : secretVariable(id, name, environment)];
    }),
  );
}

function secretFile(path: string): () => Promise<Uint8Array> {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) {
    throw new Refusal(`--secret: ${path} is no file`, { exitCode: 2 });
  }
  return () => readFile(path);
}

function secretVariable(id: string, name: string, environment: ClientEnvironment): () => Promise<Uint8Array> {
  const value = environment.variable(name);
  if (value === undefined) throw new Refusal(`--secret ${id}: ${name} is not set`, { exitCode: 2 });
  return async () => Buffer.from(value);
}
