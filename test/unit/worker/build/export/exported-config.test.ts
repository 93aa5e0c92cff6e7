import { describe, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import type { ImageConfig } from '#oci/image-config.ts';
import { exportedConfig } from '#worker/build/export/exported-config.ts';

const BASE_TIME = '2020-01-01T00:00:00Z';
const FIRST = new Date('2026-05-01T10:00:00.123Z');
const SECOND = new Date('2026-05-01T10:00:05.000Z');
/** Without zeros at the end of the fraction. */
const asGo = (time: Date) => time.toISOString().replace('.000Z', 'Z');
const [base, first, second] = ['base', 'first', 'second'].map((name) => digestOf(name)) as [
  ReturnType<typeof digestOf>,
  ReturnType<typeof digestOf>,
  ReturnType<typeof digestOf>,
];

const baseConfig = {
  os: 'linux',
  architecture: 'amd64',
  rootfs: { type: 'layers', diff_ids: [base] },
  history: [{ created: BASE_TIME, created_by: 'base' }],
};

function exported(config: object | undefined, more: { layers?: object[]; epoch?: Date; base?: object } = {}) {
  const bytes = exportedConfig({
    config: config && Buffer.from(JSON.stringify(config)),
    layers: (more.layers ?? [
      { diffId: base },
      { diffId: first, createdAt: FIRST },
      { diffId: second, createdAt: SECOND },
    ]) as never,
    epoch: more.epoch,
    base: more.base && Buffer.from(JSON.stringify(more.base)),
  });
  return JSON.parse(Buffer.from(bytes).toString()) as ImageConfig;
}

const config = {
  ...baseConfig,
  history: [
    ...baseConfig.history,
    { created_by: 'ENV A=1', empty_layer: true },
    { created_by: 'RUN one' },
    { created_by: 'USER x', empty_layer: true },
    { created_by: 'RUN two' },
    { created_by: 'CMD', empty_layer: true },
  ],
};

describe('an exported image configuration', () => {
  it('names the layers that there are', () => {
    expect(exported(config).rootfs).toEqual({ type: 'layers', diff_ids: [base, first, second] });
  });

  it('dates entries by their layers, those without one by the layer before, the first by the first new layer', () => {
    expect(exported(config).history?.map(({ created }) => created)).toEqual([
      BASE_TIME,
      asGo(FIRST),
      asGo(FIRST),
      asGo(FIRST),
      asGo(SECOND),
      asGo(SECOND),
    ]);
  });

  it('was created when its last layer was', () => {
    expect(exported(config).created).toBe(asGo(SECOND));
  });

  it('of an image to which nothing but metadata was added is as old as that image', () => {
    const metadata = {
      ...baseConfig,
      history: [...baseConfig.history, { created_by: 'CMD', empty_layer: true }],
    };
    const result = exported(metadata, { layers: [{ diffId: base }] });
    expect(result.created).toBe(BASE_TIME);
    expect(result.history?.at(-1)?.created).toBe(BASE_TIME);
  });

  it('has an entry for a layer that its history does not know', () => {
    const { history } = exported(baseConfig);
    expect(history).toHaveLength(3);
    expect(history?.at(-1)).toMatchObject({
      created: asGo(SECOND),
      comment: 'buildkit.exporter.image.v0',
    });
  });

  it('calls entries empty that say of layers what is not so', () => {
    const { history } = exported(config, { layers: [{ diffId: base }] });
    expect(history?.filter(({ empty_layer }) => !empty_layer)).toHaveLength(1);
  });

  it('is no younger than SOURCE_DATE_EPOCH, and leaves the base image its times', () => {
    const epoch = new Date('2025-01-01T00:00:00Z');
    const result = exported(config, { epoch, base: baseConfig });
    expect(result.created).toBe('2025-01-01T00:00:00Z');
    expect(new Set(result.history?.map(({ created }) => created))).toEqual(
      new Set([BASE_TIME, '2025-01-01T00:00:00Z']),
    );
  });

  it('is the same, byte for byte, when it is made again', () => {
    expect(exported(config)).toEqual(exported(config));
  });

  it('is one of this machine for a graph that nobody made an image of', () => {
    const result = exported(undefined, { layers: [{ diffId: first, createdAt: FIRST }] });
    expect(result).toMatchObject({ os: 'linux', config: { WorkingDir: '/' } });
    expect(result.config?.Env?.[0]).toMatch(/^PATH=/);
  });

  it.each([
    ['{', 'invalid image config for export'],
    ['null', 'no object'],
    ['{"os":"linux"}', 'missing architecture'],
    ['{"architecture":"amd64"}', 'missing os'],
  ])('%s is refused: %s', (text, message) => {
    const make = () =>
      exportedConfig({ config: Buffer.from(text), layers: [], epoch: undefined, base: undefined });
    expect(make).toThrow(message);
  });
});
