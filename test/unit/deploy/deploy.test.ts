import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import * as keda from '@kubernetes-models/keda/keda.sh/v1alpha1';
import * as apps from 'kubernetes-models/apps/v1';
import * as autoscaling from 'kubernetes-models/autoscaling/v2';
import * as core from 'kubernetes-models/v1';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { loadConfig } from '#config/load.ts';

const execute = promisify(execFile);
const folder = resolve('deploy');

interface Validated {
  validate(): void;
}

/** By `apiVersion`: the schemas that Kubernetes and KEDA publish. */
const MODELS: Readonly<Record<string, object>> = {
  v1: core,
  'apps/v1': apps,
  'autoscaling/v2': autoscaling,
  'keda.sh/v1alpha1': keda,
};

interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

function validate(resource: Resource): void {
  const models = MODELS[resource.apiVersion] as Record<string, new (body: object) => Validated> | undefined;
  const Model = models?.[resource.kind];
  if (!Model) throw new Error(`${resource.apiVersion} has no ${resource.kind}`);
  new Model(resource).validate();
}

function resources(file: string): Resource[] {
  return parseAllDocuments(readFileSync(join(folder, 'kubernetes', file), 'utf8')).map((each) => each.toJS());
}

describe('Kubernetes', () => {
  const files = readdirSync(join(folder, 'kubernetes'));

  it.each(files)('knows what %s says', (file) => {
    const found = resources(file);
    expect(found.length).toBeGreaterThan(0);
    for (const resource of found) expect(() => validate(resource), resource.kind).not.toThrow();
  });

  it('would say what is wrong', () => {
    const [deployment] = resources('gateway.yaml') as (Resource & { spec: object })[];
    expect(() => validate({ ...deployment!, spec: { replicas: 'many' } } as never)).toThrow();
    const { selector: _, ...rest } = deployment!.spec as { selector: object };
    expect(() => validate({ ...deployment!, spec: rest } as never)).toThrow('selector');
  });

  it('scales what is there', () => {
    const names = files.flatMap(resources).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    for (const file of ['hpa.yaml', 'keda.yaml']) {
      const [{ spec }] = resources(file) as never as [
        { spec: { scaleTargetRef: { kind: string; name: string } } },
      ];
      expect(names).toContain(`${spec.scaleTargetRef.kind} ${spec.scaleTargetRef.name}`);
    }
  });
});

it('is a file that Docker Compose takes', async () => {
  const program = resolve('.cache/clients/docker-compose');
  const config = async (file: string) => {
    const { stdout } = await execute(program, [
      '--file',
      file,
      '--profile',
      'worker',
      'config',
      '--format',
      'json',
    ]);
    return JSON.parse(stdout) as { services: Record<string, { privileged?: boolean }> };
  };
  const { services } = await config(join(folder, 'compose.yaml'));
  expect(Object.keys(services).toSorted()).toEqual(['gateway', 'postgres', 'registry', 'worker']);
  expect(Object.entries(services).filter(([, { privileged }]) => privileged)).toEqual([
    ['worker', expect.anything()],
  ]);
  const own = mkdtempSync(join(tmpdir(), 'slipway-'));
  try {
    const wrong = join(own, 'compose.yaml');
    writeFileSync(wrong, 'services: { one: { image: a, privilege: true } }\n');
    await expect(config(wrong)).rejects.toThrow('privilege');
  } finally {
    rmSync(own, { recursive: true });
  }
});

it('is units that systemd takes', async () => {
  const own = mkdtempSync(join(tmpdir(), 'slipway-'));
  try {
    const units = readdirSync(join(folder, 'systemd')).map((name) => {
      const unit = readFileSync(join(folder, 'systemd', name), 'utf8');
      // systemd looks for the program, which is wherever it was put.
      writeFileSync(join(own, name), unit.replaceAll('/opt/slipway/bin/slipway', '/bin/true'));
      return join(own, name);
    });
    expect(units).toHaveLength(3);
    await execute('systemd-analyze', ['verify', '--man=no', ...units]);
    const [first] = units;
    writeFileSync(first!, readFileSync(first!, 'utf8').replace('Restart=on-failure', 'Restart=at-times'));
    const { stderr } = await execute('systemd-analyze', ['verify', '--man=no', first!]);
    expect(stderr).toContain('at-times');
  } finally {
    rmSync(own, { recursive: true });
  }
});

describe('settings', () => {
  /** `SLIPWAY_…` in what is deployed, as the program reads them. */
  const namesIn = (file: string) => [
    ...new Set(
      readFileSync(file, 'utf8').match(/\bSLIPWAY_(?!IMAGE|WORKER_IMAGE|POSTGRES_IMAGE|POOL_JOIN\b)[A-Z_]+/g),
    ),
  ];

  it.each(['compose.yaml', 'kubernetes/worker.yaml'])('that %s gives are there', (file) => {
    const values: Record<string, string> = {
      SLIPWAY_GATEWAY_LISTEN: 'unix:///run/x.sock',
      SLIPWAY_POOL_DATABASE_DRIVER: 'postgres',
      SLIPWAY_WORKER_POOL_JOIN: 'https://gateway:7443',
      SLIPWAY_WORKER_POOL_DRAIN_TIMEOUT: '10m',
      SLIPWAY_GATEWAY_MONITORING_LISTEN: '127.0.0.1:1',
      SLIPWAY_WORKER_MONITORING_LISTEN: '127.0.0.1:1',
      SLIPWAY_WORKER_POOL_NAME: 'w1',
    };
    const names = namesIn(join(folder, file));
    expect(names.length).toBeGreaterThan(3);
    const given = (name: string) =>
      values[name] ?? (name.endsWith('_FILE') ? '/a/file' : 'tcp://0.0.0.0:7443');
    const environment = Object.fromEntries(names.map((name) => [name, given(name)]));
    expect(() => loadConfig({ environment })).not.toThrow();
  });

  it('of the example of a worker are right', () => {
    const { worker } = loadConfig({ file: resolve('config/pool-worker.yaml'), environment: {} });
    expect(worker.pool).toMatchObject({ join: 'https://gateway.example.com:7443', drainTimeout: 600_000 });
  });
});
