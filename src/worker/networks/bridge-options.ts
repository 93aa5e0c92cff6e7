import { invalid } from '#errors/errors.ts';
import type { Network } from './network.ts';

/** A bridge network's options, by the names that the engine's users know. */
export interface BridgeOptions {
  readonly mtu: number | undefined;
  readonly masquerade: boolean;
  readonly interContainer: boolean;
  /** Where ports are published that name no address; empty for everywhere. */
  readonly hostBinding: string;
}

/** Throws `invalid` for values that cannot be. */
export function bridgeOptions({ options }: Pick<Network, 'options'>): BridgeOptions {
  const mtu = options['com.docker.network.driver.mtu'];
  const binding = options['com.docker.network.bridge.host_binding_ipv4'] ?? '';
  if (mtu !== undefined && !(Number(mtu) >= 68 && Number(mtu) <= 65_535))
    throw invalid(`invalid MTU: ${mtu}`);
  return {
    mtu: mtu === undefined ? undefined : Number(mtu),
    masquerade: flag(options, 'com.docker.network.bridge.enable_ip_masquerade'),
    interContainer: flag(options, 'com.docker.network.bridge.enable_icc'),
    hostBinding: binding === '0.0.0.0' ? '' : binding,
  };
}

function flag(options: Network['options'], key: string): boolean {
  const value = (options[key] ?? 'true').toLowerCase();
  if (!['true', 'false', '1', '0', 't', 'f'].includes(value))
    throw invalid(`failed to parse ${key} value: ${value}`);
  return value.startsWith('t') || value === '1';
}
