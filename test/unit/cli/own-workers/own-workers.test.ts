import { expect, it } from 'vitest';
import { part } from '#cli/own-workers/own-workers.ts';

it('gives each worker of a machine a sixteenth of a subnet', () => {
  expect(part('10.210.0.0/16', 1)).toBe('10.210.0.0/20');
  expect(part('10.210.0.0/16', 3)).toBe('10.210.32.0/20');
  expect(part('10.210.0.0/16', 16)).toBe('10.210.240.0/20');
  expect(part('192.168.7.0/24', 2)).toBe('192.168.7.16/28');
  expect(() => part('192.168.7.0/25', 1)).toThrow('cannot be parted');
  expect(() => part('fd00::/64', 1)).toThrow('cannot be parted');
});
