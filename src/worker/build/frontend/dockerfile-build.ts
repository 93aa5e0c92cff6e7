import type { Platform } from '#oci/platform.ts';
import type { Linter } from '../dockerfile/lint/linter.ts';
import type { Dockerfile } from '../dockerfile/parser.ts';
import { type CompiledDockerfile, compileDockerfile } from './compile/compile-dockerfile.ts';
import type { Bridge, FrontendRequest } from './frontend.ts';
import { ImageResolver } from './inputs/image-resolver.ts';
import type { DockerfileSource, MainContext } from './inputs/main-context.ts';
import { NamedContexts } from './inputs/named-contexts.ts';
import type { BuildOptions } from './options/build-options.ts';

interface BuildParts {
  readonly request: FrontendRequest;
  readonly bridge: Bridge;
  readonly options: BuildOptions;
  readonly context: MainContext;
  readonly source: DockerfileSource;
  /** Where steps run. */
  readonly platform: Platform;
}

export interface CompileOptions {
  /** undefined: nobody asked for one. */
  readonly targetPlatform: Platform | undefined;
  readonly linter: Linter;
  readonly allStages?: boolean;
}

/** One Dockerfile that was read, with all that it may be compiled with. */
export class DockerfileBuild {
  readonly #parts: BuildParts;
  readonly #images: ImageResolver;
  readonly #contexts: NamedContexts;

  constructor(parts: BuildParts) {
    const { bridge, request, options } = parts;
    this.#parts = parts;
    this.#images = new ImageResolver(bridge);
    this.#contexts = new NamedContexts({ request, bridge, images: this.#images, mode: options.resolveMode });
  }

  get options(): BuildOptions {
    return this.#parts.options;
  }

  get source(): DockerfileSource {
    return this.#parts.source;
  }

  get bridge(): Bridge {
    return this.#parts.bridge;
  }

  get platform(): Platform {
    return this.#parts.platform;
  }

  compile(dockerfile: Dockerfile, options: CompileOptions): Promise<CompiledDockerfile> {
    const { source, context, platform } = this.#parts;
    return compileDockerfile({
      dockerfile,
      source,
      options: this.options,
      context,
      contexts: this.#contexts,
      images: this.#images,
      bridge: this.bridge,
      buildPlatform: platform,
      ...options,
    });
  }
}
