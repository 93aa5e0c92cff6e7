import { invalid } from '#errors/errors.ts';

/**
 * The names of a pipeline's jobs, each after those that it needs. Throws `invalid` for a need that is none of them, and
 * for jobs that need each other in a circle.
 */
export function inOrder(needs: Readonly<Record<string, readonly string[]>>): string[] {
  const order: string[] = [];
  const state = new Map<string, 'begun' | 'done'>();
  const visit = (name: string, path: readonly string[]) => {
    if (state.get(name) === 'done') return;
    const within = [...path, name];
    if (state.get(name) === 'begun') {
      throw invalid(`jobs need each other in a circle: ${within.slice(path.indexOf(name)).join(' → ')}`);
    }
    state.set(name, 'begun');
    for (const need of needs[name]!) {
      if (!Object.hasOwn(needs, need)) throw invalid(`job ${name} needs ${need}, which the pipeline has not`);
      visit(need, within);
    }
    state.set(name, 'done');
    order.push(name);
  };
  for (const name of Object.keys(needs)) visit(name, []);
  return order;
}
