import { describe, expect, it } from 'vitest';
import type { ContainerConfig } from '#worker/containers/container-config.ts';
import { mergeImageConfig } from '#worker/containers/create/merge-image-config.ts';

const own = (config: Partial<ContainerConfig> = {}): ContainerConfig => ({
  Hostname: '',
  Domainname: '',
  User: '',
  AttachStdin: false,
  AttachStdout: false,
  AttachStderr: false,
  Tty: false,
  OpenStdin: false,
  StdinOnce: false,
  Env: null,
  Cmd: null,
  Image: 'x',
  Volumes: null,
  WorkingDir: '',
  Entrypoint: null,
  OnBuild: null,
  Labels: {},
  ...config,
});

describe('the command', () => {
  const image = { Entrypoint: ['/entry'], Cmd: ['serve'] };

  it('is the image’s unless the user has one', () => {
    expect(mergeImageConfig(own(), image)).toMatchObject({ Entrypoint: ['/entry'], Cmd: ['serve'] });
    expect(mergeImageConfig(own({ Cmd: ['sh'] }), image)).toMatchObject({
      Entrypoint: ['/entry'],
      Cmd: ['sh'],
    });
  });

  it('of the image goes when the user has an entrypoint', () => {
    expect(mergeImageConfig(own({ Entrypoint: ['/bin/sh'] }), image)).toMatchObject({
      Entrypoint: ['/bin/sh'],
      Cmd: null,
    });
  });

  it('needs no entrypoint when the user resets it', () => {
    const merged = mergeImageConfig(own({ Entrypoint: [''], Cmd: ['ls'] }), image);
    expect(merged).toMatchObject({ Entrypoint: null, Cmd: ['ls'] });
  });

  it('is missing when nobody has one', () => {
    expect(() => mergeImageConfig(own(), {})).toThrow('no command specified');
    expect(() => mergeImageConfig(own({ Entrypoint: [''] }), { Entrypoint: ['/entry'] })).toThrow(
      'no command specified',
    );
  });
});

it('joins variables, labels, ports and volumes; the user’s value wins', () => {
  const merged = mergeImageConfig(
    own({
      Cmd: ['x'],
      Env: ['A=mine', 'B'],
      Labels: { a: 'mine' },
      ExposedPorts: { '1/tcp': {} },
      Volumes: { '/mine': {} },
    }),
    {
      Env: ['PATH=/bin', 'A=image', 'B=image'],
      Labels: { a: 'image', b: 'image' },
      ExposedPorts: { '2/udp': {} },
      Volumes: { '/image': {} },
      User: 'app',
      WorkingDir: '/srv',
      StopSignal: 'SIGQUIT',
    },
  );
  expect(merged.Env).toEqual(['A=mine', 'B', 'PATH=/bin']);
  expect(merged.Labels).toEqual({ a: 'mine', b: 'image' });
  expect(Object.keys(merged.ExposedPorts!).sort()).toEqual(['1/tcp', '2/udp']);
  expect(Object.keys(merged.Volumes!).sort()).toEqual(['/image', '/mine']);
  expect(merged).toMatchObject({ User: 'app', WorkingDir: '/srv', StopSignal: 'SIGQUIT' });
});

it('fills a health check in field by field', () => {
  const merged = mergeImageConfig(own({ Cmd: ['x'], Healthcheck: { Interval: 5e9 } }), {
    Healthcheck: { Test: ['CMD', 'true'], Interval: 1e9, Retries: 7 },
  });
  expect(merged.Healthcheck).toEqual({ Test: ['CMD', 'true'], Interval: 5e9, Retries: 7 });
});
