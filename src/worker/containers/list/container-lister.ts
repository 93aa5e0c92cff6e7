import { invalid } from '#errors/errors.ts';
import type { ImageSource } from '../../images/image-source.ts';
import type { Container } from '../container.ts';
import type { ContainerStore } from '../container-store.ts';
import { portSummaries } from '../published-ports.ts';
import { expandPorts } from '../start/sandbox-request-of.ts';
import { matchesLabels } from './label-filter.ts';

const STATUSES = ['created', 'restarting', 'running', 'removing', 'paused', 'exited', 'dead'];
const HEALTHS = ['none', 'starting', 'healthy', 'unhealthy'];
const FILTERS = [
  'ancestor', 'before', 'exited', 'expose', 'health', 'id', 'is-task', 'isolation', 'label', 'name', 'network',
  'publish', 'since', 'status', 'volume',
]; // biome-ignore format: one word after another

export interface ListOptions {
  /** Also what does not run. */
  readonly all: boolean;
  readonly limit: number;
  readonly filters: ReadonlyMap<string, readonly string[]>;
}

type Test = (container: Container) => boolean;

/** `docker ps`: reads memory only. */
export class ContainerLister {
  readonly #store: ContainerStore;
  readonly #images: ImageSource;

  constructor(ports: { store: ContainerStore; images: ImageSource }) {
    this.#store = ports.store;
    this.#images = ports.images;
  }

  /** Newest first. Throws `invalid` for a filter that nobody knows, `not-found` for a container named in one. */
  async list({ all, limit, filters }: ListOptions): Promise<Container[]> {
    for (const name of filters.keys()) {
      if (!FILTERS.includes(name)) throw invalid(`invalid filter '${name}'`);
    }
    const tests = await this.#tests(filters);
    const shown = all || limit > 0 || (filters.get('status')?.length ?? 0) > 0;
    if (!shown) tests.push((container) => container.active);
    const found = this.#between(filters).filter((container) => tests.every((test) => test(container)));
    return limit > 0 ? found.slice(0, limit) : found;
  }

  /** Those created before `before` and after `since`. */
  #between(filters: ListOptions['filters']): Container[] {
    const containers = this.#store.list().reverse();
    const before = this.#named(filters.get('before'));
    const since = this.#named(filters.get('since'));
    const start = before ? containers.indexOf(before) + 1 : 0;
    const end = since ? containers.indexOf(since) : containers.length;
    return containers.slice(start, Math.max(start, end));
  }

  #named(values: readonly string[] | undefined): Container | undefined {
    return values?.[0] === undefined ? undefined : this.#store.get(values[0]);
  }

  async #tests(filters: ListOptions['filters']): Promise<Test[]> {
    const tests: Test[] = [];
    const any = (name: string, build: (value: string) => Test) => {
      const values = filters.get(name);
      if (!values?.length) return;
      const choices = values.map(build);
      tests.push((container) => choices.some((choice) => choice(container)));
    };
    any('id', (value) => (container) => container.id.startsWith(value) || fits(value, container.id));
    any(
      'name',
      (value) =>
        ({ name }) =>
          fits(value, name) || fits(value, `/${name}`),
    );
    any('status', (value) => {
      if (!STATUSES.includes(value)) throw invalid(`invalid filter 'status=${value}'`);
      return (container) => container.state.status === value;
    });
    any('health', (value) => {
      if (!HEALTHS.includes(value)) throw invalid(`invalid filter 'health=${value}'`);
      return (container) => (container.state.health?.status ?? 'none') === value;
    });
    any('exited', (value) => {
      if (!/^-?\d+$/.test(value)) throw invalid(`invalid filter 'exited=${value}'`);
      return ({ state }) => state.status === 'exited' && state.exitCode === Number(value);
    });
    any('is-task', (value) => {
      if (!['true', '1', 'false', '0'].includes(value)) throw invalid(`invalid filter 'is-task=[${value}]'`);
      // Tasks are Swarm's.
      return () => ['false', '0'].includes(value);
    });
    any(
      'volume',
      (value) =>
        ({ record }) =>
          record.mounts.some((mount) => [mount.name, mount.source, mount.destination].includes(value)),
    );
    any(
      'network',
      (value) =>
        ({ record, sandbox }) =>
          value in record.networks ||
          (sandbox?.endpoints.some((endpoint) => endpoint.networkId.startsWith(value)) ?? false),
    );
    any('publish', (value) => portTest(value, ({ PublicPort }) => PublicPort));
    any('expose', (value) => portTest(value, ({ PrivatePort }) => PrivatePort));
    const labels = filters.get('label');
    if (labels) tests.push(({ record }) => matchesLabels(record.config.Labels, labels));
    const ancestors = filters.get('ancestor');
    if (ancestors?.length) tests.push(await this.#descendants(ancestors));
    return tests;
  }

  async #descendants(references: readonly string[]): Promise<Test> {
    const images = await Promise.all(
      references.map((text) => this.#images.resolve(text).catch(() => undefined)),
    );
    return ({ record }) =>
      images.some((image) => image?.id === record.imageId) || references.includes(record.config.Image);
  }
}

/** Docker's matching: a regular expression, found anywhere; what is none is compared as text. */
function fits(pattern: string, text: string): boolean {
  if (pattern === text) return true;
  try {
    return new RegExp(pattern).test(text);
  } catch {
    return text.includes(pattern);
  }
}

function portTest(
  value: string,
  port: (summary: { PublicPort?: number; PrivatePort: number }) => number | undefined,
): Test {
  if (!/^\d{1,5}(-\d{1,5})?(\/\w+)?$/.test(value)) {
    throw invalid(`invalid port filter: ${JSON.stringify(value)}`);
  }
  const wanted = new Set(expandPorts(value));
  return (container) =>
    portSummaries(container).some((summary) => wanted.has(`${port(summary)}/${summary.Type}`));
}
