import type { Platform } from '#oci/platform.ts';
import type { BuildLimits } from '../solve/op-driver.ts';

/** What is to be built, in the words of `docker build`. */
export interface ClassicRequest {
  /** A tar, perhaps compressed; or a git repository, or the URL of a tar or of a Dockerfile. */
  readonly context: AsyncIterable<Uint8Array> | { readonly remote: string };
  /** Path in the context. */
  readonly dockerfile: string;
  /** `name[:tag]` for the image. Validated already. */
  readonly tags: readonly string[];
  /** null: named without a value. */
  readonly buildArgs: Readonly<Record<string, string | null>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly target?: string;
  readonly noCache: boolean;
  /** Images that steps may be taken from. When given, the cache is looked up only if one of them is here. */
  readonly cacheFrom: readonly string[];
  /** Pull base images even when they are here. */
  readonly pull: boolean;
  /** Tell that the container of a command that ended well is gone (`rm`), and of one that failed (`forcerm`). */
  readonly tellRemoved: { readonly succeeded: boolean; readonly failed: boolean };
  readonly platform?: Platform;
  /** `default`, `host`, `none` or a network's name. */
  readonly network: string;
  readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
  readonly limits: Omit<BuildLimits, 'entitlements'>;
  /** By registry, as the CLI sends them. */
  readonly registryAuth: RegistryAuth;
}

export type RegistryAuth = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Hears a build's progress; each call resolves when the next may follow. */
export interface ClassicOutput {
  stdout(text: string): Promise<void>;
  stderr(text: string): Promise<void>;
  /** The image is made; before the last lines of text. */
  image(id: string): Promise<void>;
  /** A line of a pull's progress, as it is. */
  progress(line: object): Promise<void>;
}
