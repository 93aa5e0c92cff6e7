import { endpoint } from './parameters.ts';
import { repositoryFor } from './request-state.ts';
import type { Routes } from './routes.ts';

const EXTENSIONS_DOCUMENT = 'https://github.com/opencontainers/distribution-spec/blob/main/extensions';

/** What there is beyond the specification's endpoints, in its terms (OCI distribution-spec, extensions/_oci.md). */
const EXTENSIONS = [
  {
    name: '_oci',
    description: 'Tells which extensions there are',
    url: `${EXTENSIONS_DOCUMENT}/_oci.md`,
    endpoints: ['_oci/ext/discover'],
  },
];

const REGISTRY_EXTENSIONS = [
  ...EXTENSIONS,
  {
    name: '_catalog',
    description: 'Lists the repositories that the client may pull from',
    url: `${EXTENSIONS_DOCUMENT}/README.md`,
    endpoints: ['_catalog'],
  },
];

export function extensionRoutes(routes: Routes): void {
  routes.get(/^\/v2\/_oci\/ext\/discover\/?$/, (ctx) => {
    ctx.body = { extensions: REGISTRY_EXTENSIONS };
  });

  routes.get(endpoint('/_oci/ext/discover'), (ctx) => {
    repositoryFor(ctx, 'pull');
    ctx.body = { extensions: EXTENSIONS };
  });
}
