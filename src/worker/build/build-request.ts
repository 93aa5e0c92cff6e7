import type { Platform } from '#oci/platform.ts';
import type { ExecLimits } from './graph/op.ts';

/** What is to be built, in the words of `docker build`. */
export interface BuildRequest {
  /** A tar, perhaps compressed; or the URL of one, or of a Dockerfile. */
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
  /** When given, the cache is looked up only if one of these images is here. */
  readonly cacheFrom: readonly string[];
  /** Pull base images even when they are here. */
  readonly pull: boolean;
  readonly platform?: Platform;
  /** `default`, `host`, `none` or a network's name. */
  readonly network: string;
  readonly extraHosts: readonly string[];
  readonly limits: ExecLimits;
  /** By registry, as the CLI sends them. */
  readonly registryAuth: RegistryAuth;
}

export type RegistryAuth = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Hears a build's progress; each call resolves when the next may follow. */
export interface BuildOutput {
  stdout(text: string): Promise<void>;
  stderr(text: string): Promise<void>;
  /** The image is made; before the last lines of text. */
  image(id: string): Promise<void>;
  /** A line of a pull's progress, as it is. */
  progress(line: object): Promise<void>;
}
