import { expect, it } from 'vitest';
import { loadConfig } from '#config/load.ts';

const load = (...set: string[]) =>
  loadConfig({
    environment: { HOME: '/home/ada' },
    root: false,
    set: set.map((pair) => `registry.storage.${pair}`),
  }).registry.storage;

it('keeps content on the disk unless told otherwise', () => {
  expect(load()).toMatchObject({ driver: 'filesystem', filesystem: { directory: null } });
});

it('reads what S3 needs', () => {
  const { driver, s3 } = load(
    'driver=s3',
    's3.bucket=images',
    's3.partSize=16MiB',
    's3.redirect.networks=10.0.0.0/8,::1',
  );
  expect(driver).toBe('s3');
  expect(s3).toMatchObject({ bucket: 'images', partSize: 2 ** 24, idleTimeout: 30_000 });
  expect(s3.redirect).toMatchObject({ mode: 'never', networks: ['10.0.0.0/8', '::1'], expiry: 1_200_000 });
});

it.each([
  [['driver=s3'], 'registry.storage.s3.bucket: expected the name of a bucket'],
  [['driver=s3', 's3.bucket=b', 's3.accessKeyId=a'], 'secretAccessKeyFile: expected both'],
  [['s3.partSize=4MiB'], 'registry.storage.s3.partSize: expected 5MiB to 1GiB'],
  [['s3.prefix=/a/'], 'registry.storage.s3.prefix: expected a path'],
  [['s3.endpoint=s3.example.com'], 'registry.storage.s3.endpoint: expected a URL'],
  [['s3.redirect.expiry=8d'], 'registry.storage.s3.redirect.expiry: expected 1s to 7d'],
  [['s3.redirect.networks=ten'], 'expected a subnet such as 10.0.0.0/8'],
])('refuses %j', (set, message) => {
  expect(() => load(...set)).toThrow(message);
});
