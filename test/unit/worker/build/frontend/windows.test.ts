import { expect, it } from 'vitest';
import { emptyImage, shellOf } from '#worker/build/frontend/image/image.ts';

it('has another shell on Windows, and no PATH', () => {
  const windows = emptyImage({ os: 'windows', architecture: 'amd64' });
  expect(shellOf(windows)).toEqual(['cmd', '/S', '/C']);
  expect(windows.config.Env).toBeUndefined();
  const linux = emptyImage({ os: 'linux', architecture: 'amd64' });
  expect(shellOf(linux)).toEqual(['/bin/sh', '-c']);
  expect(linux.config.Env).toEqual([expect.stringContaining('PATH=/usr/local/sbin:')]);
});
