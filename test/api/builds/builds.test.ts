import { once } from 'node:events';
import { request } from 'node:http';
import { Validator } from '@seriousme/openapi-schema-validator';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { STEP, startBuildsApi } from './builds-api.ts';

let api: Awaited<ReturnType<typeof startBuildsApi>>;

beforeEach(async () => {
  api = await startBuildsApi();
});
afterEach(() => api[Symbol.asyncDispose]());

const day = (number: number) => new Date(Date.UTC(2026, 0, number));

async function lines(response: Response) {
  const text = await response.text();
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

describe('the builds of a worker', () => {
  it('are listed by page, the newest first', async () => {
    for (let number = 1; number <= 5; number++)
      await api.ended({ ref: `build-${number}`, createdAt: day(number) });
    const seen: string[] = [];
    for (let cursor = ''; ; ) {
      const { body } = await api.get(`/builds?limit=2${cursor && `&cursor=${cursor}`}`);
      seen.push(...body.items.map(({ id }: { id: string }) => id));
      if (!body.next) break;
      cursor = body.next;
    }
    expect(seen).toEqual(['build-5', 'build-4', 'build-3', 'build-2', 'build-1']);
  });

  it('are found by what they are called, what became of them, and when they began', async () => {
    const image = { type: 'image', attrs: { name: 'registry.example/shop/cart:1' } };
    await api.ended({ ref: 'a', createdAt: day(1), exporters: [image] });
    await api.ended({ ref: 'b', createdAt: day(2), error: { kind: 'invalid', message: 'no' } });
    await api.ended({
      ref: 'c',
      createdAt: day(3),
      error: { kind: 'canceled', message: 'context canceled' },
    });
    const running = await api.running('d');
    const found = async (query: string) => {
      const { body } = await api.get(`/builds?${query}`);
      return body.items.map(({ id, state }: { id: string; state: string }) => `${id} ${state}`);
    };
    expect(await found('name=SHOP/cart')).toEqual(['a completed']);
    expect(await found('state=failed')).toEqual(['b failed']);
    expect(await found('state=canceled')).toEqual(['c canceled']);
    expect(await found('state=running')).toEqual(['d running']);
    expect(await found(`since=${day(3).toISOString()}`)).toEqual(['d running', 'c canceled']);
    await running.end();
  });

  it('are told with their steps, whatever they are called', async () => {
    const ref = 'team/a b?#%2F';
    await api.ended({
      ref,
      frontendOptions: { target: 'release' },
      response: { 'containerimage.digest': 'sha256:1' },
      error: { kind: 'invalid', message: 'exit code: 7', excerpt: 'Dockerfile:2\n', exitCode: 7 },
      steps: [
        {
          digest: STEP,
          name: 'COPY . .',
          startedAt: day(1),
          completedAt: day(2),
          duration: 12,
          completed: true,
          cached: false,
          missed: 'content of package.json changed',
        },
      ],
    });
    const { status, body } = await api.get(`/builds/${encodeURIComponent(ref)}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      id: ref,
      state: 'failed',
      frontendOptions: { target: 'release' },
      results: { 'containerimage.digest': 'sha256:1' },
      error: { excerpt: 'Dockerfile:2\n', exitCode: 7 },
      stepList: [
        { missed: 'content of package.json changed', startedAt: day(1).toISOString(), duration: 12 },
      ],
    });
  });

  it('are forgotten when they are over, and cancelled when they are not', async () => {
    await api.ended({ ref: 'over' });
    const running = await api.running('running');
    const status = async (method: string, path: string) => (await api.call(path, { method })).status;
    expect(await status('DELETE', '/builds/running')).toBe(409);
    expect(await status('POST', '/builds/over/cancel')).toBe(409);
    expect(await status('POST', '/builds/nobody/cancel')).toBe(404);
    expect(await status('DELETE', '/builds/nobody')).toBe(404);
    expect(await status('POST', '/builds/running/cancel')).toBe(204);
    expect(running.canceled()).toBe(1);
    expect(await status('DELETE', '/builds/over')).toBe(204);
    expect(await status('GET', '/builds/over')).toBe(404);
    await running.end();
  });

  it('are described as they are served', async () => {
    const { body } = await api.get('/openapi.json');
    const { valid, errors } = await new Validator().validate(body);
    expect({ valid, errors }).toEqual({ valid: true, errors: undefined });
    expect(Object.keys(body.paths)).toContain('/builds/{id}/logs');
  });
});

describe("a build's log", () => {
  it('is read whole, by step, and from where it was left', async () => {
    await api.ended({ ref: 'one' }, ['first\n', 'ünd ', 'second\n']);
    const all = await lines(await api.call('/builds/one/logs'));
    expect(all.map(({ kind, text, name }) => text ?? `${kind} ${name}`)).toEqual([
      'step RUN x',
      'first\n',
      'ünd ',
      'second\n',
      'step RUN x',
    ]);
    const rest = await lines(await api.call(`/builds/one/logs?from=${all[1].next}`));
    expect(rest).toEqual(all.slice(2));
    expect(await lines(await api.call(`/builds/one/logs?from=${all.at(-1).next}`))).toEqual([]);
    expect(await lines(await api.call('/builds/one/logs?step=sha256:other'))).toEqual([]);
    expect(await lines(await api.call(`/builds/one/logs?step=${STEP}`))).toEqual(all);
  });

  it.each([1, 17, 10 ** 9])('begins nowhere at %i', async (from) => {
    await api.ended({ ref: 'one' }, ['text\n']);
    const running = await api.running('two');
    await running.say('text\n');
    for (const build of ['one', 'two']) {
      for (const follow of ['0', '1']) {
        const { status, body } = await api.get(`/builds/${build}/logs?from=${from}&follow=${follow}`);
        expect(status).toBe(400);
        expect(body.detail).toBe(`${from} is no place in this log`);
      }
    }
    await running.end();
  });

  it('is followed until the build is over', async () => {
    const running = await api.running('live');
    await running.say('early\n');
    const response = await api.call('/builds/live/logs?follow=1');
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let seen = '';
    const until = async (text: string) => {
      while (!seen.includes(text)) {
        const { done, value } = await reader.read();
        if (done) throw new Error(`the log ended without ${text}`);
        seen += value;
      }
    };
    await until('early');
    await running.say('late\n');
    await until('late');
    await running.end();
    expect((await reader.read()).done).toBe(true);
  });

  it('is let go of by who does not read on', async () => {
    const running = await api.running('live');
    const abort = new AbortController();
    const response = await api.call('/builds/live/logs?follow=1', { signal: abort.signal });
    abort.abort();
    await expect(response.text()).rejects.toThrow();
    await running.end();
    // Nothing of it holds the server up: afterEach closes it.
  });
});

describe('a search in logs', () => {
  it('finds lines in any case, also those that came in pieces', async () => {
    await api.ended({ ref: 'old', createdAt: day(1) }, [
      'npm warn deprecated\nnpm ERR',
      '! code E404\nbye\n',
    ]);
    await api.ended({ ref: 'new', createdAt: day(2) }, ['fine\rNPM err! again\r', 'no end npm err!']);
    const { body } = await api.get('/builds/search?q=npm+Err!');
    const found = body.items.map(({ build, line }: { build: string; line: string }) => [build, line]);
    expect(found).toEqual([
      ['new', 'NPM err! again'],
      ['new', 'no end npm err!'],
      ['old', 'npm ERR! code E404'],
    ]);
    expect(body.next).toBeUndefined();
    expect(body.items[0].step).toEqual({ digest: STEP, name: 'RUN x' });
    const { from } = body.items[2];
    const log = await lines(await api.call(`/builds/old/logs?from=${from}`));
    expect(log.map(({ text }) => text).join('')).toContain('npm ERR! code E404');
  });

  it('gives each line once, on however many pages', async () => {
    const output = Array.from({ length: 40 }, (_, at) => `hit ${at}\nmiss\nhit `);
    for (const number of [1, 2]) await api.ended({ ref: `b${number}`, createdAt: day(number) }, output);
    const whole = await api.get('/builds/search?q=hit&limit=1000');
    const paged: unknown[] = [];
    for (let cursor = ''; ; ) {
      const { body } = await api.get(`/builds/search?q=hit&limit=7${cursor && `&cursor=${cursor}`}`);
      paged.push(...body.items.map(({ build, line }: { build: string; line: string }) => [build, line]));
      if (!body.next) break;
      cursor = body.next;
    }
    expect(paged.length).toBeGreaterThan(80);
    expect(paged).toEqual(
      whole.body.items.map(({ build, line }: { build: string; line: string }) => [build, line]),
    );
  });

  it('shows of a line without end what is around', async () => {
    await api.ended({ ref: 'long' }, ['x'.repeat(10_000), ' needle ', 'y'.repeat(20_000)]);
    const { body } = await api.get('/builds/search?q=needle&build=long');
    expect(body.items).toHaveLength(1);
    expect(body.items[0].line).toContain('needle');
    expect(body.items[0].line.length).toBeLessThanOrEqual(1000);
  });
});

describe('a request that makes no sense', () => {
  const cursor = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

  it.each([
    ['/builds?limit=0', 'limit'],
    ['/builds?limit=100000', 'limit'],
    ['/builds?state=odd', 'state'],
    ['/builds?since=yesterday', 'since'],
    ['/builds?unknown=1', 'Unrecognized'],
    ['/builds?state=failed&state=running', 'state'],
    ['/builds?cursor=%00', 'cursor'],
    [`/builds?cursor=${cursor(['x', 1])}`, 'cursor'],
    ['/builds/search', 'q'],
    ['/builds/search?q=', 'q'],
    [`/builds/search?q=${'x'.repeat(201)}`, 'q'],
    ['/builds/search?q=a%0Ab', 'one line'],
    [`/builds/search?q=a&cursor=${cursor([1])}`, 'cursor'],
    ['/builds/one/logs?from=-1', 'from'],
    ['/builds/one/logs?follow=perhaps', 'follow'],
    [`/builds/${'x'.repeat(501)}`, 'id'],
  ])('%s', async (path, what) => {
    const response = await api.call(path);
    expect(response.status).toBe(400);
    expect(response.headers.get('content-type')).toContain('application/problem+json');
    expect(JSON.stringify(await response.json())).toContain(what);
  });

  it('of a place in another log begins nowhere', async () => {
    await api.ended({ ref: 'one', createdAt: day(1) }, ['text\n']);
    const { status } = await api.get(
      `/builds/search?q=text&cursor=${cursor([day(1).toISOString(), 'one', 3, 0])}`,
    );
    expect(status).toBe(400);
  });

  it('of an unknown place or way is refused', async () => {
    expect((await api.call('/nothing')).status).toBe(404);
    const put = await api.call('/builds/one', { method: 'PUT' });
    expect([put.status, put.headers.get('allow')]).toEqual([405, 'GET, DELETE']);
    expect((await api.call('/builds/%2e%2e%2f%2e%2e%2fetc%2fpasswd')).status).toBe(404);
    expect((await api.call('/builds/a%00b')).status).toBe(404);
  });

  it('of a page elsewhere is refused', async () => {
    const running = await api.running('one');
    const { hostname, port } = new URL(api.address);
    const headers = { origin: 'https://elsewhere.example' };
    const sent = request({ hostname, port, path: '/api/v1/builds/one/cancel', method: 'POST', headers });
    const [response] = await once(sent.end(), 'response');
    response.resume();
    expect(response.statusCode).toBe(403);
    expect(running.canceled()).toBe(0);
    await running.end();
  });
});
