import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { isLoopback, parseListenAddress } from '#config/address.ts';
import type { Config } from '#config/schema.ts';
import { messageOf } from '#errors/errors.ts';
import { parseResolvConf } from '#worker/networks/dns/resolv-conf.ts';
import { IptablesFirewall } from '#worker/networks/firewall/iptables-firewall.ts';
import { addressAt, formatSubnet, parseSubnet, type Subnet } from '#worker/networks/ip/subnet.ts';
import { LinuxNetworkDriver } from '#worker/networks/linux/linux-network-driver.ts';
import { insideNamespace } from '#worker/networks/linux/namespace.ts';
import { Refusal } from '../refusal.ts';
import { relayQuestions, relayStreams } from './loopback-relay.ts';

const REPAIR_INTERVAL_MS = 30_000;

/** A namespace that a worker runs in, and its address there. */
export interface WorkerNamespace {
  readonly address: string;
  /** Starts a process there: one begins in the namespace of the thread that starts it. */
  readonly start: <T>(begin: () => T) => T;
}

/**
 * The networks of several workers on one machine: a namespace for each, all on one bridge, behind this machine's address for
 * the rest of the world. Registry and resolver are reached on the loopback there as they are here. Namespaces stay while
 * containers are in them.
 */
export class WorkerNamespaces implements AsyncDisposable {
  readonly #config: Config;
  readonly #subnet: Subnet;
  readonly #driver = new LinuxNetworkDriver();
  readonly #bridge: string;
  readonly #firewall: IptablesFirewall;
  readonly #relays = new AsyncDisposableStack();
  readonly #repairs: NodeJS.Timeout;

  private constructor(config: Config, subnet: string) {
    this.#config = config;
    this.#subnet = parseSubnet(subnet);
    this.#bridge = `${config.worker.network.defaultBridge.name.slice(0, 11)}-ns`;
    const network = {
      bridge: this.#bridge,
      subnet: formatSubnet(this.#subnet),
      internal: false,
      masquerade: true,
      interContainer: true,
    };
    this.#firewall = new IptablesFirewall({
      prefix: this.#bridge.toUpperCase(),
      state: () => ({ networks: [network], ports: [] }),
    });
    this.#repairs = setInterval(
      () => void this.#firewall.repair().catch(() => {}),
      REPAIR_INTERVAL_MS,
    ).unref();
  }

  /** All in `subnet`. Throws `Refusal` where that cannot be. */
  static async open(config: Config, subnet: string): Promise<WorkerNamespaces> {
    const namespaces = new WorkerNamespaces(config, subnet);
    try {
      await namespaces.#openBridge();
      return namespaces;
    } catch (error) {
      await namespaces[Symbol.asyncDispose]();
      throw new Refusal(`--workers: ${messageOf(error)}`, { cause: error });
    }
  }

  /** The n-th one, from 1, which may be there already. */
  async ensure(n: number): Promise<WorkerNamespace> {
    const subnet = this.#subnet;
    const path = namespacePath(this.#config, n);
    const address = addressAt(subnet, BigInt(n + 1));
    const hostInterface = `${this.#config.worker.network.defaultBridge.name.slice(0, 11)}v${n}`;
    if (identityOf(path) === undefined) {
      this.#driver.removeNamespace(path);
      await this.#driver.leave(hostInterface);
      this.#driver.createNamespace(path);
    }
    if (!(await this.#driver.hasInterface(hostInterface))) {
      await this.#driver.join(path, {
        bridge: this.#bridge,
        hostInterface,
        interfaceName: 'eth0',
        macAddress: `02:42:${Buffer.from(address.split('.').map(Number)).toString('hex').match(/../g)!.join(':')}`,
        mtu: Math.min(1500, await this.#driver.hostMtu()),
        addresses: [{ address, prefixLength: subnet.prefixLength }],
        gateways: [addressAt(subnet, 1n)],
      });
    }
    for (const target of loopbackTargets(this.#config)) {
      this.#relays.use(await relayStreams(path, target));
      if (target.port === 53) this.#relays.use(await relayQuestions(path, target.host));
    }
    return { address, start: (begin) => insideNamespace(path, begin) };
  }

  /** Takes away what no container is in any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#repairs);
    await this.#relays.disposeAsync();
    const inhabited = inhabitedNamespaces();
    let kept = 0;
    for (const path of existingNamespaces(this.#config)) {
      const identity = identityOf(path);
      if (identity !== undefined && inhabited.has(identity)) kept++;
      else this.#driver.removeNamespace(path);
    }
    if (kept > 0) return;
    await this.#driver.removeBridge(this.#bridge);
    await this.#firewall.remove().catch(() => {});
  }

  async #openBridge(): Promise<void> {
    const subnet = this.#subnet;
    await this.#driver.ensureBridge({
      name: this.#bridge,
      mtu: Math.min(1500, await this.#driver.hostMtu()),
      addresses: [{ address: addressAt(subnet, 1n), prefixLength: subnet.prefixLength }],
    });
    await this.#firewall.sync();
  }
}

const namespacePath = (config: Config, n: number) => join(config.runDir, `worker-${n}`, 'netns');

function existingNamespaces({ runDir }: Config): string[] {
  if (!existsSync(runDir)) return [];
  return readdirSync(runDir)
    .filter((name) => /^worker-\d+$/.test(name))
    .map((name) => join(runDir, name, 'netns'))
    .filter((path) => existsSync(path));
}

/** `net:[4026532000]`; undefined where there is none. */
function identityOf(path: string): string | undefined {
  try {
    return insideNamespace(path, () => readlinkSync('/proc/thread-self/ns/net'));
  } catch {
    return undefined;
  }
}

/** Those that processes are in. */
function inhabitedNamespaces(): Set<string> {
  const found = new Set<string>();
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      found.add(readlinkSync(`/proc/${pid}/ns/net`));
    } catch {
      // It has just ended.
    }
  }
  return found;
}

/** What workers need of this machine's loopback. */
function loopbackTargets(config: Config): { host: string; port: number }[] {
  const urls = [...config.worker.registryMirrors, config.tracing.endpoint ?? ''].filter((url) =>
    URL.canParse(url),
  );
  const { nameservers } = parseResolvConf(readFileSync('/etc/resolv.conf', 'utf8'));
  const targets = [
    parseListenAddress(config.registry.listen),
    ...urls.map((url) => parseListenAddress(new URL(url).host)),
    ...nameservers.map((host) => ({ host, port: 53 })),
  ].flatMap((target) => (target && 'host' in target && target.port !== 0 ? [target] : []));
  const known = targets
    .map(({ host, port }) => ({ host: ['0.0.0.0', 'localhost'].includes(host) ? '127.0.0.1' : host, port }))
    .filter(({ host }) => isLoopback(host) && !host.includes(':'));
  return [...new Map(known.map((target) => [`${target.host}:${target.port}`, target])).values()];
}
