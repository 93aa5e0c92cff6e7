import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NetworkEngine } from './network-engine.ts';

describe('networks over the Engine API', () => {
  let engine: NetworkEngine;
  beforeAll(async () => {
    engine = await NetworkEngine.open();
  });
  afterAll(() => engine[Symbol.asyncDispose]());

  test('docker network create, ls, inspect, rm', async () => {
    const { block } = engine.lab;
    const id = await engine.docker(
      ...[
        'network',
        'create',
        '--subnet',
        `${block}.128/27`,
        '--gateway',
        `${block}.130`,
        '--label',
        'team=blue',
      ],
      ...['--internal', '--attachable', '--opt', 'com.docker.network.driver.mtu=1300', 'made'],
    );
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    expect(await engine.docker('network', 'ls', '--format', '{{.Name}} {{.Driver}} {{.Scope}}')).toBe(
      ['bridge bridge local', 'host host local', 'made bridge local', 'none null local'].join('\n'),
    );
    const [inspected] = JSON.parse(await engine.docker('network', 'inspect', 'made'));
    expect(inspected).toMatchObject({
      Name: 'made',
      Id: id,
      Scope: 'local',
      Driver: 'bridge',
      EnableIPv6: false,
      IPAM: {
        Driver: 'default',
        Options: {},
        Config: [{ Subnet: `${block}.128/27`, Gateway: `${block}.130` }],
      },
      Internal: true,
      Attachable: true,
      Ingress: false,
      ConfigOnly: false,
      Containers: {},
      Options: { 'com.docker.network.driver.mtu': '1300' },
      Labels: { team: 'blue' },
    });
    expect(await engine.docker('network', 'rm', 'made')).toBe('made');
    expect(await engine.docker('network', 'inspect', 'made')).toMatch(
      /network made not found|No such network: made/,
    );
  });

  test('a container that is on it is told of', async () => {
    await engine.docker('network', 'create', 'busy');
    const sandbox = await engine.lab.attach('web', { endpoints: [{ network: 'busy' }] });
    const { body } = await engine.request('GET', '/v1.47/networks/busy');
    const [endpoint] = sandbox.endpoints;
    expect(body.Containers).toEqual({
      [sandbox.containerId]: {
        Name: 'web',
        EndpointID: endpoint?.endpointId,
        MacAddress: endpoint?.macAddress,
        IPv4Address: `${endpoint?.ipv4Address}/29`,
        IPv6Address: '',
      },
    });
    expect(
      (await engine.request('GET', '/networks')).body.every(
        (one: { Containers: object }) => Object.keys(one.Containers).length === 0,
      ),
    ).toBe(true);
    expect(await engine.docker('network', 'rm', 'busy')).toMatch(/network busy has active endpoints/);
    expect((await engine.request('DELETE', '/networks/busy')).status).toBe(403);
    await engine.lab.networks.detach(sandbox.containerId);
    expect((await engine.request('DELETE', '/networks/busy')).status).toBe(204);
  });

  test('what is wrong is said in the words and numbers of the engine', async () => {
    const subnet = (await engine.request('GET', '/networks/bridge')).body.IPAM.Config[0].Subnet;
    const create = (body: object) => engine.request('POST', '/networks/create', body);
    expect((await create({ Name: 'twice' })).status).toBe(201);
    expect(await create({ Name: 'twice' })).toEqual({
      status: 409,
      body: { message: 'network with name twice already exists' },
    });
    expect(await create({ Name: 'x', IPAM: { Config: [{ Subnet: subnet }] } })).toEqual({
      status: 403,
      body: { message: 'invalid pool request: Pool overlaps with other one on this address space' },
    });
    expect((await create({ Name: 'host' })).status).toBe(403);
    expect((await create({ Name: '' })).status).toBe(400);
    expect((await create({ Name: 'x', Options: 7 })).status).toBe(400);
    expect((await create({ Name: 'x', Driver: 'weave' })).status).toBe(404);
    expect((await engine.request('DELETE', '/networks/bridge')).status).toBe(403);
    expect(await engine.request('GET', '/networks/nowhere')).toEqual({
      status: 404,
      body: { message: 'network nowhere not found' },
    });
    expect((await engine.request('GET', '/networks?filters={"colour":["red"]}')).status).toBe(400);
    await engine.docker('network', 'rm', 'twice');
  });

  test('lists are filtered', async () => {
    await engine.docker('network', 'create', '--label', 'env=test', 'filter-a');
    await engine.docker('network', 'create', '--label', 'env=prod', 'filter-b');
    const names = (...filters: string[]) =>
      engine.docker(
        'network',
        'ls',
        '--format',
        '{{.Name}}',
        ...filters.flatMap((filter) => ['--filter', filter]),
      );
    expect(await names('name=filter')).toBe('filter-a\nfilter-b');
    expect(await names('label=env=prod')).toBe('filter-b');
    expect(await names('label=env', 'name=-a')).toBe('filter-a');
    expect(await names('type=builtin')).toBe('bridge\nhost\nnone');
    expect(await names('driver=null')).toBe('none');
    expect(await names('dangling=true')).toBe('filter-a\nfilter-b');
    expect(await names('scope=swarm')).toBe('');
    expect(await engine.docker('network', 'prune', '--force', '--filter', 'label=env=prod')).toBe(
      'Deleted Networks:\nfilter-b',
    );
    expect((await engine.request('POST', '/networks/prune')).body).toEqual({ NetworksDeleted: ['filter-a'] });
  });

  test('connect and disconnect are handed on, complete', async () => {
    await engine.docker('network', 'create', 'joined');
    const output = await engine.docker(
      ...['network', 'connect', '--ip', '10.0.0.9', '--alias', 'db', '--link', 'a:b', 'joined', 'web'],
    );
    expect(output).toBe('');
    expect(await engine.docker('network', 'disconnect', '--force', 'joined', 'web')).toBe('');
    expect(engine.asked).toMatchObject([
      {
        container: 'web',
        endpoint: { network: 'joined', aliases: ['db'], links: ['a:b'], ipv4Address: '10.0.0.9' },
      },
      { container: 'web', network: 'joined', force: true },
    ]);
    expect((await engine.request('POST', '/networks/nowhere/connect', { Container: 'web' })).status).toBe(
      404,
    );
    await engine.docker('network', 'rm', 'joined');
  });
});
