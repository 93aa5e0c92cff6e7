import { availableParallelism } from 'node:os';
import { expect, it } from 'vitest';
import { verifyHostConfig } from '#worker/containers/create/verify-host-config.ts';
import { createShape } from '#worker/http/containers-create-shape.ts';

const host = (change: object) => createShape.parse({ HostConfig: change }).hostConfig;
const MIB = 1024 * 1024;

it('takes nothing for what is not said', () => {
  expect(verifyHostConfig(host({}))).toEqual([]);
});

it.each([
  [{ Memory: 4 * MIB }, 'Minimum memory limit allowed is 6MB'],
  [{ Memory: 64 * MIB, MemorySwap: 32 * MIB }, 'Minimum memoryswap limit should be larger than memory limit'],
  [{ MemorySwap: 32 * MIB }, 'You should always set the Memory limit when using Memoryswap limit'],
  [
    { Memory: 32 * MIB, MemoryReservation: 64 * MIB },
    'Minimum memory limit can not be less than memory reservation limit',
  ],
  [{ MemorySwappiness: 101 }, 'valid memory swappiness range is 0-100'],
  [{ NanoCpus: 1e9, CpuPeriod: 1000 }, 'Nano CPUs and CPU Period cannot both be set'],
  [{ NanoCpus: (availableParallelism() + 1) * 1e9 }, 'range of CPUs is from 0.01 to'],
  [{ CpuPeriod: 10 }, 'CPU cfs period can not be less than 1ms'],
  [{ CpuQuota: 10 }, 'CPU cfs quota can not be less than 1ms'],
  [{ CpusetCpus: '0-999' }, 'Requested CPUs are not available'],
  [{ OomScoreAdj: 2000 }, 'range for oom score adj is [-1000, 1000]'],
  [{ ShmSize: -1 }, 'SHM size can not be less than 0'],
  [{ IpcMode: 'nope' }, 'invalid IPC mode: nope'],
  [{ PidMode: 'container:' }, 'invalid PID mode: container:'],
  [{ UTSMode: 'x' }, 'invalid UTS mode: x'],
  [{ RestartPolicy: { Name: 'sometimes' } }, "unknown policy 'sometimes'"],
  [{ RestartPolicy: { Name: 'always', MaximumRetryCount: 2 } }, "can only be used with 'on-failure'"],
  [{ RestartPolicy: { Name: 'on-failure', MaximumRetryCount: -1 } }, 'cannot be negative'],
  [
    { AutoRemove: true, RestartPolicy: { Name: 'always' } },
    "can't create 'AutoRemove' container with restart policy",
  ],
  [{ PortBindings: { '0/tcp': [] } }, 'invalid port specification: "0/tcp"'],
  [{ PortBindings: { '80/tcp': [{ HostPort: '9-1' }] } }, 'invalid port specification: "9-1"'],
  [{ ExtraHosts: ['nope'] }, 'bad format for add-host'],
  [{ ExtraHosts: ['db:1.2.3'] }, 'invalid IP address in add-host'],
  [{ Dns: ['example'] }, 'example is not an ip address'],
  [{ LogConfig: { Type: 'fluentd' } }, "no log driver named 'fluentd' is registered"],
  [{ Runtime: 'kata' }, 'unknown or invalid runtime name: kata'],
])('refuses %j', (change, message) => {
  expect(() => verifyHostConfig(host(change))).toThrow(message);
});

it('warns of what it ignores', () => {
  const warnings = verifyHostConfig(
    host({ NetworkMode: 'host', PortBindings: { '80/tcp': [{ HostPort: '80' }] } }),
  );
  expect(warnings).toEqual(['Published ports are discarded when using host network mode']);
});
