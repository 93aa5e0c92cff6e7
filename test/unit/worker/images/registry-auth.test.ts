import { describe, expect, it } from 'vitest';
import { credentialsOf, registryDomain } from '#worker/http/registry-auth.ts';

describe('credentials of a client', () => {
  it.each([
    [{}, undefined],
    [
      { username: 'a', password: 'b:c' },
      { username: 'a', password: 'b:c' },
    ],
    [{ auth: Buffer.from('a:b:c').toString('base64') }, { username: 'a', password: 'b:c' }],
    [{ identitytoken: 't' }, { identityToken: 't' }],
    [{ registrytoken: 't' }, { registryToken: 't' }],
  ])('%j', (shape, credentials) => expect(credentialsOf(shape)).toEqual(credentials));

  it.each([
    ['https://index.docker.io/v1/', 'docker.io'],
    ['', 'docker.io'],
    ['127.0.0.1:5000', '127.0.0.1:5000'],
    ['http://registry.example:80/v2/', 'registry.example:80'],
  ])('for %s go to %s', (address, domain) => expect(registryDomain(address)).toBe(domain));
});
