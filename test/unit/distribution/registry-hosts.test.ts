import { describe, expect, it } from 'vitest';
import { RegistryHosts } from '#distribution/registry-hosts.ts';

const urls = (hosts: RegistryHosts, domain: string) => hosts.forPull(domain).map(({ origin }) => origin);

describe('the address of a registry', () => {
  it('is looked up at the mirrors first, for Docker Hub only', () => {
    const hosts = new RegistryHosts({ mirrors: ['http://127.0.0.1:5000/', 'https://mirror.example'] });
    expect(urls(hosts, 'docker.io')).toEqual([
      'http://127.0.0.1:5000',
      'https://mirror.example',
      'https://registry-1.docker.io',
    ]);
    expect(urls(hosts, 'quay.io')).toEqual(['https://quay.io']);
    expect(hosts.forPush('docker.io').origin).toBe('https://registry-1.docker.io');
  });

  it.each([
    ['127.0.0.1:5000', true],
    ['127.9.9.9', true],
    ['localhost:5000', true],
    ['[::1]:5000', true],
    ['registry.local:5000', true],
    ['Plain.example', true],
    ['10.1.2.3:80', true],
    ['[fd00::5]:80', true],
    ['11.1.2.3', false],
    ['registry.local:5001', false],
    ['example.com', false],
    ['127.0.0.1.example.com', false],
  ])('%s is spoken to in plain HTTP: %s', (domain, insecure) => {
    const hosts = new RegistryHosts({
      insecure: ['registry.local:5000', 'plain.example', '10.0.0.0/8', 'fd00::/8'],
    });
    expect(hosts.isInsecure(domain)).toBe(insecure);
  });

  it.each(['10.0.0.0/33', 'x/8', '::/200'])('refuses the network %s', (entry) =>
    expect(() => new RegistryHosts({ insecure: [entry] })).toThrow('invalid insecure registry'),
  );

  it('refuses a mirror that is no URL', () =>
    expect(() => new RegistryHosts({ mirrors: ['mirror.example'] })).toThrow('invalid registry mirror'));
});
