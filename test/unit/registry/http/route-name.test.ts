import { expect, it } from 'vitest';
import { routeName } from '#registry/http/route-name.ts';

it.each([
  ['/v2', 'base'],
  ['/v2/', 'base'],
  ['/v2/_catalog', 'catalog'],
  ['/v2/a/manifests/latest', 'manifest'],
  ['/v2/manifests/blobs/manifests/v1', 'manifest'],
  ['/v2/a/b/c/blobs/sha256:00', 'blob'],
  ['/v2/a/blobs/uploads/', 'upload'],
  ['/v2/a/blobs/uploads', 'upload'],
  ['/v2/a/blobs/uploads/1b4e28ba-2fa1-11d2-883f-0016d3cca427', 'upload'],
  ['/v2/uploads/tags/list', 'tags'],
  ['/v2/a/referrers/sha256:00', 'referrers'],
  ['/api/v1/search', 'api'],
  ['/token', 'token'],
  ['/', 'other'],
  ['/v2/whatever', 'other'],
  ['/v2/a/blobs/', 'other'],
])('%s is %s', (path, route) => {
  expect(routeName(path)).toBe(route);
});
