import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { conflict, isKind, systemCode, unavailable } from '#errors/errors.ts';
import type { PortRequest, PublishedPort } from '../sandbox.ts';
import { holdPort, type PortTarget } from './held-port.ts';

interface Reservation {
  readonly owner: string;
  readonly port: PublishedPort;
  held: AsyncDisposable | undefined;
}

/**
 * The host's ports that are given to containers. Each is held by a real socket, so that no other process of the
 * host gets it, nor do we one of theirs.
 */
export class PortReservations {
  readonly #reservations = new Set<Reservation>();
  readonly #ownUdp: ReadonlySet<number>;
  #cursor = 0;

  /** `ownUdp`: ports that the worker has itself, or is going to have: the kernel's tunnels begin with the first network of theirs. */
  constructor({ ownUdp = [] }: { ownUdp?: readonly number[] } = {}) {
    this.#ownUdp = new Set(ownUdp);
  }

  /** All of the ports, or none. Throws `conflict` in the engine's words. */
  async reserve(
    owner: string,
    requests: readonly PortRequest[],
    target: PortTarget,
  ): Promise<PublishedPort[]> {
    const taken: Reservation[] = [];
    try {
      for (const request of requests) taken.push(...(await this.#reserveOne(owner, request, target)));
      return taken.map(({ port }) => port);
    } catch (error) {
      await Promise.all(taken.map((reservation) => this.#drop(reservation)));
      throw error;
    }
  }

  /** Takes the ports of a container that outlived the worker again; what cannot be held is left unheld. */
  async restore(owner: string, ports: readonly PublishedPort[], target: PortTarget): Promise<void> {
    for (const port of ports) {
      const reservation: Reservation = { owner, port, held: undefined };
      this.#reservations.add(reservation);
      reservation.held = await holdPort(port, target).catch(() => undefined);
    }
  }

  async release(owner: string): Promise<void> {
    const owned = [...this.#reservations].filter((reservation) => reservation.owner === owner);
    await Promise.all(owned.map((reservation) => this.#drop(reservation)));
  }

  /** Lets go of every socket; for the end of the process. */
  async close(): Promise<void> {
    await Promise.all([...this.#reservations].map((reservation) => this.#drop(reservation)));
  }

  async #reserveOne(owner: string, request: PortRequest, target: PortTarget): Promise<Reservation[]> {
    let failure: unknown;
    for (const hostPort of this.#candidates(request)) {
      try {
        return await this.#reserveExactly(owner, request, hostPort, target);
      } catch (error) {
        if (!isKind(error, 'conflict')) throw error;
        failure = error;
      }
    }
    throw failure ?? conflict('all ports are allocated');
  }

  /** On the address asked for; on every one, of both families, when none was. */
  async #reserveExactly(
    owner: string,
    request: PortRequest,
    hostPort: number,
    target: PortTarget,
  ): Promise<Reservation[]> {
    const { containerPort, protocol } = request;
    const anywhere = request.hostIp === '';
    const port = { containerPort, protocol, hostIp: anywhere ? '0.0.0.0' : request.hostIp, hostPort };
    const first = await this.#take(owner, port, target);
    if (!anywhere || protocol !== 'tcp') return [first];
    try {
      return [first, await this.#take(owner, { ...port, hostIp: '::' }, target)];
    } catch (error) {
      // A host without IPv6 is no conflict.
      if (
        error instanceof Error &&
        ['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes(systemCode(error.cause) ?? '')
      ) {
        return [first];
      }
      await this.#drop(first);
      throw error;
    }
  }

  async #take(owner: string, port: PublishedPort, target: PortTarget): Promise<Reservation> {
    const address = isIPv6(port.hostIp) ? `[${port.hostIp}]` : port.hostIp;
    const isOwn = port.protocol === 'udp' && this.#ownUdp.has(port.hostPort);
    if (isOwn || [...this.#reservations].some((other) => collide(other.port, port))) {
      throw conflict(`Bind for ${address}:${port.hostPort} failed: port is already allocated`);
    }
    const reservation: Reservation = { owner, port, held: undefined };
    this.#reservations.add(reservation);
    try {
      reservation.held = await holdPort(port, target);
      return reservation;
    } catch (cause) {
      this.#reservations.delete(reservation);
      throw refused(port, address, cause);
    }
  }

  async #drop(reservation: Reservation): Promise<void> {
    this.#reservations.delete(reservation);
    await reservation.held?.[Symbol.asyncDispose]();
  }

  /** Ports to try, in order. For any port: those that the kernel gives out itself, one after another. */
  *#candidates(request: PortRequest): Generator<number> {
    const { hostPort = 0, hostPortEnd } = request;
    if (hostPort !== 0) {
      for (let port = hostPort; port <= (hostPortEnd ?? hostPort); port++) yield port;
      return;
    }
    const [first, last] = ephemeralPorts();
    const size = last - first + 1;
    for (let tried = 0; tried < size; tried++) yield first + (this.#cursor++ % size);
  }
}

function collide(a: PublishedPort, b: PublishedPort): boolean {
  if (a.protocol !== b.protocol || a.hostPort !== b.hostPort) return false;
  if (isIPv6(a.hostIp) !== isIPv6(b.hostIp)) return false;
  return a.hostIp === b.hostIp || [a.hostIp, b.hostIp].some((ip) => ip === '0.0.0.0' || ip === '::');
}

function refused(port: PublishedPort, address: string, cause: unknown): Error {
  const call = port.protocol === 'tcp' ? 'listen tcp' : 'listen udp';
  const family = isIPv6(port.hostIp) ? '6' : '4';
  const reason =
    { EADDRINUSE: 'address already in use', EADDRNOTAVAIL: 'cannot assign requested address' }[
      systemCode(cause) ?? ''
    ] ?? String(cause);
  const message = `failed to bind port ${address}:${port.hostPort}/${port.protocol}: ${call}${family} ${address}:${port.hostPort}: bind: ${reason}`;
  return systemCode(cause) === 'EADDRINUSE' ? conflict(message, { cause }) : unavailable(message, { cause });
}

function ephemeralPorts(): [number, number] {
  const range = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/);
  return [Number(range[0]), Number(range[1])];
}
