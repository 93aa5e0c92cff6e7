/**
 * Imports point one way: oci, errors, observability, api, tar, async ← content, database ← auth ← registry · distribution ← worker ←
 * pool ← cli. `test/architecture` runs these rules, on the code and on fixtures that break them.
 */
const layers = {
  oci: ['errors'],
  errors: [],
  observability: ['errors', 'async'],
  api: ['errors'],
  async: ['errors'],
  webhooks: ['errors'],
  tar: ['errors', 'async', 'oci'],
  config: ['errors'],
  content: ['errors', 'observability', 'async', 'oci', 'tar'],
  database: ['errors', 'observability', 'async', 'oci', 'content'],
  auth: ['errors', 'observability', 'async', 'oci', 'content', 'database'],
  registry: [
    'errors',
    'observability',
    'api',
    'async',
    'webhooks',
    'oci',
    'tar',
    'content',
    'database',
    'auth',
  ],
  distribution: ['errors', 'observability', 'async', 'oci', 'tar', 'content', 'database', 'auth'],
  worker: [
    'errors',
    'observability',
    'api',
    'async',
    'oci',
    'tar',
    'content',
    'database',
    'auth',
    'distribution',
  ],
  pool: [
    'errors',
    'observability',
    'api',
    'async',
    'webhooks',
    'oci',
    'tar',
    'content',
    'database',
    'auth',
    'distribution',
    'worker',
  ],
  cli: [
    'errors',
    'observability',
    'api',
    'async',
    'webhooks',
    'oci',
    'tar',
    'content',
    'database',
    'auth',
    'config',
    'registry',
    'distribution',
    'worker',
    'pool',
  ],
};

/** The folder that holds `src`: the fixtures of test/architecture have trees of their own. */
const src = '(?:^|/)src';

const direction = Object.entries(layers).map(([layer, below]) => ({
  name: `${layer}-imports-what-is-below`,
  comment: `src/${layer} may import ${below.join(', ') || 'nothing else'} of src.`,
  severity: 'error',
  from: { path: `${src}/${layer}/` },
  to: { path: `${src}/`, pathNot: `${src}/(?:${[layer, ...below].join('|')})/` },
}));

const files = (...paths) => paths.map((path) => `${src}/${path}`);

module.exports = {
  forbidden: [
    ...direction,
    {
      name: 'no-cycle',
      comment: 'Files that import each other in a circle are one file.',
      severity: 'error',
      from: { path: `${src}/` },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'domain-without-http',
      comment: 'A domain knows nothing of the API that serves it.',
      severity: 'error',
      from: { path: files('(?:registry|worker|pool)/'), pathNot: files('(?:registry|worker|pool)/http/') },
      to: { path: files('(?:registry|worker|pool)/http/') },
    },
    {
      name: 'koa-in-http',
      comment: 'Koa belongs to */http/ (and cli, which mounts it).',
      severity: 'error',
      from: { path: `${src}/`, pathNot: files('[^/]+/http/', 'cli/') },
      to: { path: 'node_modules/(?:@koa/|koa)' },
    },
    {
      name: 'kysely-in-repositories',
      comment: 'Queries belong to database/ and the repositories.',
      severity: 'error',
      from: { path: `${src}/`, pathNot: files('database/', '.*-repository\\.ts$') },
      to: { path: 'node_modules/kysely', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'processes-where-they-belong',
      comment: 'Programs are started by the parts of the worker that stand on them, and by the supervisor.',
      severity: 'error',
      from: { path: `${src}/`, pathNot: files('worker/(?:runtime|snapshots|networks)/', 'cli/') },
      to: { path: '^(?:node:)?child_process$' },
    },
    {
      name: 'ffi-where-it-belongs',
      comment: 'Native calls stay behind the ports of the worker.',
      severity: 'error',
      from: { path: `${src}/`, pathNot: files('worker/(?:runtime|snapshots|networks|images/gzip)/') },
      to: { path: 'node_modules/koffi' },
    },
    {
      name: 'no-tests-in-src',
      severity: 'error',
      from: { path: `${src}/` },
      to: { path: '(?:^|/)test/', pathNot: 'test/architecture/fixtures/' },
    },
    {
      name: 'declared-dependencies',
      comment: 'What the product imports is in dependencies.',
      severity: 'error',
      from: { path: `^src/` },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'unknown', 'undetermined'] },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: { path: `${src}/` },
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      mainFields: ['main', 'types'],
    },
  },
};
