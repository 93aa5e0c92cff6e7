import { expect, it } from 'vitest';
import { KeyedLock } from '#async/keyed-lock.ts';
import { conflict, notFound } from '#errors/errors.ts';
import { ContainerRemoval, type RemovalPorts } from '#worker/containers/remove/container-removal.ts';

/** Containers that are there, and what ends them. */
function containers(ids: string[], end: (id: string, there: Map<string, object>) => void) {
  const there = new Map<string, object>(ids.map((id) => [id, { id, active: true, state: {} }]));
  const store = {
    list: () => [...there.values()],
    has: (id: string) => there.has(id),
    get(id: string) {
      if (there.has(id)) return there.get(id);
      throw notFound(`No such container: ${id}`);
    },
  };
  const stopper = {
    async end(container: { id: string; active: boolean }) {
      container.active = false;
      end(container.id, there);
    },
  };
  const remover = { remove: async ({ id }: { id: string }) => void there.delete(id) };
  const ports = { store, stopper, remover, lock: new KeyedLock() } as unknown as RemovalPorts;
  return { removal: new ContainerRemoval(ports), there };
}

it('removes all, those that go by themselves and those that come meanwhile as well', async () => {
  let came = false;
  const { removal, there } = containers(['a', 'b', 'c'], (id, all) => {
    if (id !== 'a') return;
    all.delete('b');
    if (!came) all.set('d', { id: 'd', active: false, state: {} });
    came = true;
  });
  await removal.removeAll();
  expect([...there]).toEqual([]);
});

it('says what keeps one from going', async () => {
  const { removal } = containers(['a'], () => {
    throw conflict('it could not be killed');
  });
  await expect(removal.removeAll()).rejects.toThrow('it could not be killed');
  const missing = containers(['a'], () => {
    throw notFound('no such process');
  });
  await expect(missing.removal.removeAll()).rejects.toThrow('no such process');
});
