import { formatPlatform, hostPlatform, type Platform } from '#oci/platform.ts';

/** What a RUN gets without an ARG; kept out of history and cache keys, for they describe the network, not the build. */
const PROXY_NAMES = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'];
const PREDEFINED: ReadonlySet<string> = new Set(PROXY_NAMES.flatMap((name) => [name, name.toLowerCase()]));

/** The values of ARGs: from `--build-arg`, from the Dockerfile's defaults, and the builder's own. */
export class BuildArgs {
  readonly #given: ReadonlyMap<string, string>;
  readonly #platform: ReadonlyMap<string, string>;
  readonly #global = new Map<string, string>();
  readonly #used = new Set<string>();

  constructor(given: Readonly<Record<string, string | null>>, target: Platform) {
    const entries = Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== null);
    this.#given = new Map(entries);
    this.#platform = platformArgs(target);
  }

  /** An ARG before the first FROM. */
  declareGlobal(name: string, value: string | undefined): void {
    this.#used.add(name);
    const chosen = this.#given.get(name) ?? value ?? this.#platform.get(name);
    if (chosen !== undefined) this.#global.set(name, chosen);
  }

  /** What FROM lines and global defaults see. */
  global(name: string): string | undefined {
    return this.#global.get(name) ?? this.#platform.get(name);
  }

  /** The value of an ARG in a stage; undefined when nobody gives it one. */
  declared(name: string, value: string | undefined): string | undefined {
    this.#used.add(name);
    return this.#given.get(name) ?? value ?? this.#global.get(name) ?? this.#platform.get(name);
  }

  /** Proxy settings that were given, for every RUN. */
  get proxies(): ReadonlyMap<string, string> {
    return new Map([...this.#given].filter(([name]) => PREDEFINED.has(name)));
  }

  /** `--build-arg`s that no ARG asked for. */
  get unused(): string[] {
    return [...this.#given.keys()].filter((name) => !this.#used.has(name) && !PREDEFINED.has(name)).sort();
  }
}

function platformArgs(target: Platform): ReadonlyMap<string, string> {
  const host = hostPlatform();
  const of = (prefix: string, platform: Platform): [string, string][] => [
    [`${prefix}PLATFORM`, formatPlatform(platform)],
    [`${prefix}OS`, platform.os],
    [`${prefix}ARCH`, platform.architecture],
    [`${prefix}VARIANT`, platform.variant ?? ''],
  ];
  return new Map([...of('BUILD', host), ...of('TARGET', target)]);
}
