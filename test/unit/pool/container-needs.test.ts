import { expect, it } from 'vitest';
import { needsOf, withoutConstraints } from '#pool/gateway/container-needs.ts';

it('finds what a container has to be together with', () => {
  const needs = needsOf({
    Image: 'busybox',
    Labels: { 'com.docker.compose.project': 'p', 'com.slipway.constraint': 'zone==a, disk!=slow' },
    Env: ['A=1', 'constraint:node==w1'],
    HostConfig: {
      NetworkMode: 'net',
      PidMode: 'container:one',
      VolumesFrom: ['two:ro'],
      Links: ['/three:alias'],
      Binds: ['/host:/a', 'named:/b', 'named:/c:ro', '/anonymous'],
      Mounts: [{ Type: 'volume', Source: 'other' }, { Type: 'bind', Source: '/x' }, { Type: 'volume' }],
    },
    NetworkingConfig: { EndpointsConfig: { net: {}, more: {}, bridge: {} } },
  });
  expect(needs).toEqual({
    image: 'busybox',
    project: 'p',
    constraints: [
      { key: 'node', operator: '==', value: 'w1' },
      { key: 'zone', operator: '==', value: 'a' },
      { key: 'disk', operator: '!=', value: 'slow' },
    ],
    containers: ['one', 'two', 'three'],
    networks: ['net', 'more'],
    volumes: ['named', 'other'],
  });
});

it('leaves what is wrong with a body to the worker', () => {
  const nothing = {
    image: '',
    project: undefined,
    constraints: [],
    containers: [],
    networks: [],
    volumes: [],
  };
  expect(needsOf({})).toEqual(nothing);
  expect(needsOf({ Image: 7, Labels: [], Env: 'x', HostConfig: 'y', NetworkingConfig: null })).toEqual(
    nothing,
  );
  expect(needsOf({ HostConfig: { Binds: [1, null], Mounts: ['m'], NetworkMode: 'host' } })).toEqual(nothing);
});

it('takes constraints out of what the container gets to see', () => {
  expect(withoutConstraints({ Env: ['A=1', 'constraint:zone==a', 7] })).toEqual({ Env: ['A=1', 7] });
  expect(() => needsOf({ Env: ['constraint:zone'] })).toThrow("constraint 'zone': expected");
});
