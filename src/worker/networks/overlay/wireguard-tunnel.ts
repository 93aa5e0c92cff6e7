import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KeyedLock } from '#async/keyed-lock.ts';
import { systemCode, unavailable } from '#errors/errors.ts';
import { numberToAddress } from '../ip/address.ts';
import { runCommand } from '../linux/command.ts';
import type { NetworkDriver } from '../network-driver.ts';
import type { OverlayPeer } from './overlay-link.ts';

/** What WireGuard puts before a packet, over IPv6 at worst. */
const OVERHEAD = 80;
/** Of a network of our own (RFC 4193); the other bits follow from keys. */
const PREFIX = 'fd536c70';
const PREFIX_LENGTH = 32;

/** A worker's address in the tunnel follows from its public key: nobody has to give it out. */
export function tunnelAddress(publicKey: string): string {
  const digest = createHash('sha256').update(publicKey).digest('hex').slice(0, 24);
  return numberToAddress(BigInt(`0x${PREFIX}${digest}`), 6);
}

/**
 * This worker's WireGuard interface: the kernel's, or wireguard-go's where the kernel has none. It is made with the first
 * network that needs it.
 */
export class WireguardTunnel {
  readonly port: number;
  readonly #driver: NetworkDriver;
  readonly #keyFile: string;
  readonly #lock = new KeyedLock<'device'>();
  #key: Promise<{ privateKey: string; publicKey: string }> | undefined;
  #made: { name: string; address: string; mtu: number; sealed: number } | undefined;
  #written = '';

  constructor(ports: { driver: NetworkDriver }, options: { keyFile: string; port: number }) {
    this.#driver = ports.driver;
    this.#keyFile = options.keyFile;
    this.port = options.port;
  }

  async publicKey(): Promise<string> {
    return (await this.#keys()).publicKey;
  }

  /**
   * Makes the interface. What comes for `port`, where decrypted packets go, by any other one is thrown away. Throws
   * `unavailable` when this machine has no WireGuard.
   */
  ensure({ outer, port }: { outer: number; port: number }): Promise<{ address: string; mtu: number }> {
    return this.#lock.run('device', async () => {
      if (this.#made) return this.#made;
      const { publicKey } = await this.#keys();
      const made = {
        name: nameOf(publicKey),
        address: tunnelAddress(publicKey),
        mtu: outer - OVERHEAD,
        sealed: port,
      };
      if (!(await this.#driver.hasInterface(made.name))) await this.#create(made.name);
      await this.#driver.furnish(made.name, {
        mtu: made.mtu,
        addresses: [{ address: made.address, prefixLength: PREFIX_LENGTH }],
      });
      await seal(made.name, port);
      this.#made = made;
      await this.#write([]);
      return made;
    });
  }

  /** From now on these and no others are spoken with. */
  usePeers(peers: readonly OverlayPeer[]): Promise<void> {
    return this.#lock.run('device', () => this.#write(peers));
  }

  remove(): Promise<void> {
    return this.#lock.run('device', async () => {
      const { publicKey } = await this.#keys();
      const name = nameOf(publicKey);
      if (this.#made) await unseal(name, this.#made.sealed).catch(() => {});
      this.#made = undefined;
      this.#written = '';
      await this.#driver.leave(name);
    });
  }

  async #create(name: string): Promise<void> {
    if (await this.#driver.createWireguard(name)) return;
    try {
      await runCommand('wireguard-go', [name]);
    } catch (cause) {
      throw unavailable(
        `encrypted overlay networks need WireGuard, which this machine's kernel has not, and wireguard-go does not do it either (apt-get install wireguard-go): ${(cause as Error).message}`,
        { cause },
      );
    }
  }

  async #write(peers: readonly OverlayPeer[]): Promise<void> {
    if (!this.#made) return;
    const { privateKey } = await this.#keys();
    const usable = peers.filter(
      ({ publicKey, wireguardPort }) => publicKey !== null && wireguardPort !== null,
    );
    const settings = [
      `[Interface]\nPrivateKey = ${privateKey}\nListenPort = ${this.port}`,
      ...usable.map(
        ({ publicKey, address, wireguardPort }) =>
          `[Peer]\nPublicKey = ${publicKey}\nEndpoint = ${address}:${wireguardPort}\nAllowedIPs = ${tunnelAddress(publicKey!)}/128`,
      ),
    ].join('\n\n');
    if (settings === this.#written) return;
    await runCommand('wg', ['syncconf', this.#made.name, '/dev/stdin'], `${settings}\n`);
    this.#written = settings;
  }

  #keys(): Promise<{ privateKey: string; publicKey: string }> {
    this.#key ??= this.#readKeys();
    this.#key.catch(() => {
      this.#key = undefined;
    });
    return this.#key;
  }

  async #readKeys(): Promise<{ privateKey: string; publicKey: string }> {
    const known = await readFile(this.#keyFile, 'utf8').catch((error) => {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    });
    const key = known ? createPrivateKey(known) : generateKeyPairSync('x25519').privateKey;
    if (!known) {
      await mkdir(dirname(this.#keyFile), { recursive: true, mode: 0o700 });
      const text = key.export({ type: 'pkcs8', format: 'pem' });
      await writeFile(`${this.#keyFile}.new`, text, { mode: 0o600, flush: true });
      await rename(`${this.#keyFile}.new`, this.#keyFile);
    }
    const own = key.export({ format: 'jwk' });
    const shown = createPublicKey(key).export({ format: 'jwk' });
    return { privateKey: base64(own.d!), publicKey: base64(shown.x!) };
  }
}

/** Unique on the machine, also where workers are in namespaces: wireguard-go's sockets are in one folder. */
const nameOf = (publicKey: string) =>
  `swg${createHash('sha256').update(publicKey).digest('hex').slice(0, 8)}`;

const base64 = (url: string) => Buffer.from(url, 'base64url').toString('base64');

const rule = (name: string, port: number) =>
  ['INPUT', '!', '-i', name, '-p', 'udp', '-m', 'udp', '--dport', String(port), '-j', 'DROP'] as const;

/** What was not encrypted is not taken for what was. The sockets there are of IPv6 alone. */
async function seal(name: string, port: number): Promise<void> {
  const isThere = await runCommand('ip6tables', ['-w', '10', '-C', ...rule(name, port)]).then(
    () => true,
    () => false,
  );
  if (!isThere) await runCommand('ip6tables', ['-w', '10', '-I', ...rule(name, port)]);
}

async function unseal(name: string, port: number): Promise<void> {
  await runCommand('ip6tables', ['-w', '10', '-D', ...rule(name, port)]);
}
