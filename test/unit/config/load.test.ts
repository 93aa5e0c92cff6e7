import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ConfigSources, loadConfig } from '#config/load.ts';

const load = (sources: ConfigSources = {}) =>
  loadConfig({ environment: { HOME: '/home/ada' }, root: true, ...sources });

describe('defaults', () => {
  it('are complete for root', () => {
    const config = load();
    expect(config.dataDir).toBe('/var/lib/slipway');
    expect(config.runDir).toBe('/run/slipway');
    expect(config.registry.limits.manifestSize).toBe(4 * 2 ** 20);
    expect(config.registry.limits.uploadExpiry).toBe(24 * 3_600_000);
    expect(config.worker.registryMirrors).toEqual(['http://127.0.0.1:5000']);
  });

  it('stay in the home folder of others', () => {
    expect(load({ root: false }).dataDir).toBe('/home/ada/.local/share/slipway');
    expect(load({ root: false }).runDir).toBe('/home/ada/.local/share/slipway/run');
    const environment = { XDG_DATA_HOME: '/data', XDG_RUNTIME_DIR: '/run/user/7' };
    expect(load({ root: false, environment }).dataDir).toBe('/data/slipway');
    expect(load({ root: false, environment }).runDir).toBe('/run/user/7/slipway');
  });

  it('let the mirror follow the registry', () => {
    expect(load({ set: ['registry.listen=127.0.0.1:7000'] }).worker.registryMirrors).toEqual([
      'http://127.0.0.1:7000',
    ]);
    expect(load({ set: ['worker.registryMirrors='] }).worker.registryMirrors).toEqual([]);
    const tls = ['registry.tls.certificate=/cert.pem', 'registry.tls.key=/key.pem'];
    expect(load({ set: tls }).worker.registryMirrors).toEqual([]);
  });

  it('puts the build cache into the own registry, or where it is told', () => {
    const cache = (...set: string[]) => load({ set }).worker.build.cacheRepository;
    expect(cache('registry.listen=127.0.0.1:7000')).toBe('127.0.0.1:7000/slipway/build-cache');
    expect(cache('registry.tls.certificate=/a', 'registry.tls.key=/b')).toBe(null);
    expect(cache('worker.build.cacheRepository=team/cache')).toBe('127.0.0.1:5000/team/cache');
    expect(cache('worker.build.cacheRepository=registry.example/cache')).toBe('registry.example/cache');
    expect(() => cache('worker.build.cacheRepository=Team:1')).toThrow('expected a repository');
    expect(cache('worker.build.cacheRepository=null')).toBe(null);
  });
});

describe('sources', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'slipway-config-'));
    file = join(folder, 'slipway.yaml');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('are laid over each other: file, environment, --set', () => {
    writeFileSync(
      file,
      'log: { level: debug, format: json }\nregistry: { listen: "127.0.0.1:1" }\ndataDir: /file\n',
    );
    const environment = {
      SLIPWAY_CONFIG: file,
      SLIPWAY_REGISTRY_LISTEN: '127.0.0.1:2',
      SLIPWAY_LOG_LEVEL: 'warn',
    };
    const config = load({ environment, set: ['registry.listen=[::1]:3'] });
    expect(config).toMatchObject({ dataDir: '/file', log: { level: 'warn', format: 'json' } });
    expect(config.registry.listen).toBe('[::1]:3');
  });

  it('take lists and numbers from the environment', () => {
    const environment = {
      SLIPWAY_WORKER_LISTEN: 'unix:///a.sock, tcp://127.0.0.1:2375',
      SLIPWAY_WORKER_MAX_CONCURRENT_DOWNLOADS: '7',
      SLIPWAY_WORKER_NETWORK_ADDRESS_POOLS: '[{ base: 10.1.0.0/16, size: 26 }]',
    };
    const { worker } = load({ environment });
    expect(worker.listen).toEqual(['unix:///a.sock', 'tcp://127.0.0.1:2375']);
    expect(worker.maxConcurrentDownloads).toBe(7);
    expect(worker.network.addressPools).toEqual([{ base: '10.1.0.0/16', size: 26 }]);
  });

  it.each([
    ['an unknown key', 'registry: { lisen: 1 }', /slipway\.yaml: registry\.lisen: unknown setting$/],
    [
      'an unknown key in a list',
      'worker: { network: { addressPools: [{ base: 10.1.0.0/16, size: 24, to: 1 }] } }',
      /worker\.network\.addressPools\.0\.to: unknown setting$/,
    ],
    ['a bad value', 'log: { level: loud }', /slipway\.yaml: log\.level: expected one of/],
    ['the wrong kind of value', 'registry: 5', /slipway\.yaml: registry: expected object/],
    ['a key set to nothing', 'registry:\n  listen:\n', /slipway\.yaml: registry\.listen: expected string/],
    ['broken YAML', 'registry: [', /slipway\.yaml: /],
    ['no settings at all', '- a\n', /slipway\.yaml: expected settings/],
  ])('a file with %s is one line with its path', (_, text, message) => {
    writeFileSync(file, text);
    expect(() => load({ file })).toThrow(message);
    expect(() => load({ file })).toThrow(/^[^\n]*$/);
  });

  it('refuse what they do not know', () => {
    expect(() => load({ file: '/nowhere.yaml' })).toThrow(/^\/nowhere\.yaml: ENOENT/);
    expect(() => load({ environment: { SLIPWAY_REGISTRI: '' } })).toThrow(
      'environment: SLIPWAY_REGISTRI: unknown setting',
    );
    expect(() => load({ set: ['registry'] })).toThrow('--set registry: expected key=value');
    expect(() => load({ set: ['__proto__.x=1'] })).toThrow('--set: __proto__.x: unknown setting');
    expect(() => load({ environment: { SLIPWAY_STOP_TIMEOUT: 'soon' } })).toThrow(
      'environment: stopTimeout: expected a duration such as 30s or 24h',
    );
  });
});

it.each(readdirSync('config').filter((name) => name.endsWith('.yaml')))('the example %s is valid', (name) => {
  expect(load({ file: join('config', name) }).worker.listen.length).toBeGreaterThan(0);
});

describe('addresses', () => {
  it.each(['0.0.0.0:5000', '[::]:5000', '10.0.0.1:5000', 'example.com:5000'])(
    'beyond loopback are refused: %s',
    (listen) => {
      expect(() => load({ set: [`registry.listen=${listen}`] })).toThrow(
        /registry\.listen: .*beyond loopback is refused/,
      );
      expect(() => load({ set: [`worker.listen=tcp://${listen}`] })).toThrow(
        /worker\.listen\.0: .*beyond loopback is refused/,
      );
    },
  );

  it.each([
    '5000',
    'localhost',
    '127.0.0.1:',
    '127.0.0.1:70000',
    '::1:5000',
    'unix:///x',
    'tcp://127.0.0.1:1',
  ])('that are none are refused: %s', (listen) => {
    expect(() => load({ set: [`registry.listen=${listen}`] })).toThrow(
      /registry\.listen: expected host:port/,
    );
  });

  it.each(['unix://relative', `unix:///${'x'.repeat(110)}`, '127.0.0.1:2375', 'http://127.0.0.1:1'])(
    'of a worker that are none are refused: %s',
    (listen) => {
      expect(() => load({ set: [`worker.listen=${listen}`] })).toThrow(/worker\.listen\.0: expected unix/);
    },
  );

  it.each(['127.0.0.1:1', '127.8.8.8:1', 'localhost:1', '[::1]:1'])('on loopback are taken: %s', (listen) => {
    expect(load({ set: [`registry.listen=${listen}`] }).registry.listen).toBe(listen);
  });
});
