import { expect, it } from 'vitest';
import { HandedOver } from '#worker/buildkit/request/handed-over.ts';

async function* body(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('x');
}
const { signal } = new AbortController();

it.each(['given', 'wanted'])('hands a body over, whichever comes first (%s)', async (first) => {
  const uploads = new HandedOver();
  const mine = body();
  const given = first === 'given' ? uploads.give('a', mine, { signal }) : undefined;
  const wanted = uploads.take('a', { signal });
  const giving = given ?? uploads.give('a', mine, { signal });
  const taken = await wanted;
  expect(taken.body).toBe(mine);
  // The one that gives it waits until it was used.
  expect(
    await Promise.race([
      giving.then(() => 'over'),
      new Promise((resolve) => setImmediate(resolve, 'not yet')),
    ]),
  ).toBe('not yet');
  taken.ended();
  await giving;
});

it('gives up on one that nobody wants, and on one that does not come', async () => {
  const uploads = new HandedOver({ patienceMs: 1 });
  await expect(uploads.give('a', body(), { signal })).rejects.toMatchObject({ kind: 'not-found' });
  await expect(uploads.take('a', { signal })).rejects.toMatchObject({ kind: 'not-found' });
});

it('forgets those that were given up', async () => {
  const uploads = new HandedOver();
  const gone = new AbortController();
  const given = uploads.give('a', body(), { signal: gone.signal });
  await expect(uploads.give('a', body(), { signal })).rejects.toMatchObject({ kind: 'conflict' });
  gone.abort();
  await expect(given).rejects.toMatchObject({ kind: 'canceled' });
  const wanted = uploads.take('a', { signal: gone.signal });
  await expect(wanted).rejects.toMatchObject({ kind: 'canceled' });
  const mine = body();
  const again = uploads.give('a', mine, { signal });
  const taken = await uploads.take('a', { signal });
  expect(taken.body).toBe(mine);
  taken.ended();
  await again;
});
