/** What a request is about, in few words: for metrics and traces, which must not grow with what clients ask for. */
export function routeName(path: string): string {
  if (path.startsWith('/v2/')) return distributionRoute(path);
  if (path === '/v2') return 'base';
  if (path.startsWith('/api/')) return 'api';
  if (path.startsWith('/token')) return 'token';
  return 'other';
}

/** From the end: a repository's name may have the words of the paths in it. */
function distributionRoute(path: string): string {
  if (path === '/v2/') return 'base';
  const last = path.lastIndexOf('/');
  const before = path.lastIndexOf('/', last - 1);
  const kind = path.slice(before + 1, last);
  if (kind === 'manifests') return 'manifest';
  if (kind === 'blobs') return path.length === last + 1 ? 'other' : blobRoute(path, last);
  if (kind === 'uploads') return 'upload';
  if (kind === 'referrers') return 'referrers';
  if (kind === 'tags') return 'tags';
  return path === '/v2/_catalog' ? 'catalog' : 'other';
}

/** `POST …/blobs/uploads` begins an upload with and without its last slash. */
function blobRoute(path: string, last: number): string {
  return path.slice(last + 1) === 'uploads' ? 'upload' : 'blob';
}
