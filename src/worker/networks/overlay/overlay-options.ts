import { invalid } from '#errors/errors.ts';
import type { Network } from '../network.ts';

/** As Docker calls it. */
export const VNI_OPTION = 'com.docker.network.driver.overlay.vxlanid_list';
const MAX_VNI = 2 ** 24 - 1;

export interface OverlayOptions {
  /** The number that tells its packets from those of others. */
  readonly vni: number;
  readonly encrypted: boolean;
}

/** Throws `invalid` for values that cannot be. */
export function overlayOptions({ options }: Pick<Network, 'options'>): OverlayOptions {
  const text = options[VNI_OPTION] ?? '';
  const vni = Number(text);
  if (!/^\d+$/.test(text) || vni < 1 || vni > MAX_VNI) throw invalid(`invalid VXLAN ID: ${text}`);
  return { vni, encrypted: isEncrypted(options.encrypted) };
}

/** `--opt encrypted` is an empty value. */
function isEncrypted(value: string | undefined): boolean {
  if (value === undefined) return false;
  if (['', 'true', '1'].includes(value)) return true;
  if (['false', '0'].includes(value)) return false;
  throw invalid(`failed to parse encrypted value: ${value}`);
}

/** Of the device that leads from the network's bridge to other workers. */
export const vxlanName = ({ id }: Pick<Network, 'id'>): string => `vx-${id.slice(0, 12)}`;
