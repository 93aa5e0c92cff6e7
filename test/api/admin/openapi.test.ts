import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type AuthRegistry, startAuthRegistry } from '#test/registry/auth-registry.ts';
import { json } from '#test/registry/distribution-client.ts';

interface Described {
  readonly operationId: string;
  readonly description: string;
  readonly parameters: readonly { name: string; in: string }[];
  readonly responses: Readonly<Record<string, unknown>>;
}

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
}

let registry: AuthRegistry;
let document: Document;
beforeAll(async () => {
  registry = await startAuthRegistry();
  const answer = await registry.client.send('GET', '/api/v1/openapi.json');
  expect(answer.status).toBe(200);
  document = json(answer) as Document;
});
afterAll(() => registry[Symbol.asyncDispose]());

const described = () =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );

it('is a valid OpenAPI 3.1 document', async () => {
  expect(document.openapi).toBe('3.1.1');
  const { valid, errors } = await new Validator().validate({ ...structuredClone(document) });
  expect(errors).toBeUndefined();
  expect(valid).toBe(true);
});

it('names each operation once, with all parameters of its path', () => {
  const ids = described().map(({ operation }) => operation.operationId);
  expect(ids.length).toBeGreaterThan(25);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { path, operation } of described()) {
    const inPath = operation.parameters
      .filter((parameter) => parameter.in === 'path')
      .map(({ name }) => name);
    expect([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort()).toEqual(inPath.sort());
    expect(Object.keys(operation.responses)).toContain('default');
  }
});

it('describes what is served: nobody gets further without credentials, or with those of others', async () => {
  await registry.addUser('nobody', 'elsewhere/** pull');
  const nobody = await registry.token('nobody', 'slipway:api:*');
  const puller = await registry.token('nobody', 'repository:elsewhere/a:pull');
  for (const { path, method, operation } of described()) {
    const url = `/api/v1${path.replace(/\{\w+\}/g, 'x')}`;
    const open = operation.description.includes('For everyone');
    const status = async (token: string | undefined) => (await registry.send(method, url, token)).status;
    const seen = [method, path, await status(undefined), await status(nobody), await status(puller)];
    if (!open) expect(seen).toEqual([method, path, 401, 403, 403]);
    // What everyone may ask is there, and may still lack what it needs.
    else expect(seen.slice(2).every((code) => [200, 204, 400, 404].includes(Number(code)))).toBe(true);
  }
});

it('knows no other paths and methods', async () => {
  for (const [method, path, status] of [
    ['GET', '/api/v1/nothing', 404],
    ['GET', '/api/v1', 404],
    ['PUT', '/api/v1/audit', 405],
    ['POST', '/api/v1/openapi.json', 405],
  ] as const) {
    const answer = await registry.client.send(method, path);
    expect([path, answer.status]).toEqual([path, status]);
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
  }
});

it('tells how to get a token', async () => {
  const answer = await registry.client.send('GET', '/api/v1/users');
  expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm=".*\/token",.*scope="slipway:api:\*"/);
  const forged = await registry.send('GET', '/api/v1/users', 'forged');
  expect([forged.status, json(forged)]).toMatchObject([401, { status: 401, code: 'unauthorized' }]);
});
