import { expect, it } from 'vitest';
import { conflict, forbidden, invalid, notFound, unauthorized, unavailable } from '#errors/errors.ts';
import { GatewayPeers } from '#pool/member/gateway-peers.ts';

const wish = { platform: 'linux/arm64', affinity: 'project', without: [] };
const { signal } = new AbortController();

function peersOf(ask: (path: string, body: unknown) => Promise<unknown>) {
  const peers = new GatewayPeers();
  peers.use({
    ask: (_method, path, body) => ask(path, body),
    open: () => Promise.reject(new Error('nobody connects')),
  });
  return peers.of(undefined);
}

it('whatever the pool answers, a step is none the worse for having asked', async () => {
  const answers = [
    ...[notFound, unauthorized, conflict, invalid, unavailable].map((made) => () => {
      throw made('no');
    }),
    () => ({ other: 'words' }),
    () => undefined,
  ];
  for (const answer of answers) {
    const finding = peersOf(async () => answer()).find(wish, { signal });
    await expect(finding).rejects.toMatchObject({ kind: 'unavailable' });
  }
  const refused = peersOf(async () => {
    throw forbidden('no');
  });
  expect(await refused.find(wish, { signal })).toBeUndefined();
  const aborted = peersOf(() => new Promise(() => {})).find(wish, { signal: AbortSignal.abort() });
  await expect(aborted).rejects.toMatchObject({ kind: 'canceled' });
});

it('what clients call their projects is not the pool’s, and may be of any length', async () => {
  const asked: { affinity: string }[] = [];
  const peers = peersOf(async (_path, body) => {
    asked.push(body as { affinity: string });
    return { worker: 'one' };
  });
  for (const affinity of ['project', 'project', 'p'.repeat(100_000)]) {
    await peers.find({ ...wish, affinity }, { signal });
  }
  const [first, second, long] = asked.map(({ affinity }) => affinity);
  expect(first).toMatch(/^[0-9a-f]{64}$/);
  expect(second).toBe(first);
  expect(long).toHaveLength(64);
});
