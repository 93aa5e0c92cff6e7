import { buildKitProgram } from '../../e2e/harness/buildkitd.ts';
import { succeed } from '../../e2e/harness/command.ts';

export interface BuildOptions {
  /** A folder with a Dockerfile. */
  readonly context: string;
  /** `name=value` */
  readonly buildArgs?: readonly string[];
  /** Where the result goes; nowhere, but into the cache, when there is none. */
  readonly push?: string;
}

/** Somebody who builds, seen from its client. */
export interface Builder {
  readonly name: string;
  /** What FROM lines begin with, for the images that it can find: empty or `registry/library/`. */
  readonly images: string;
  build(options: BuildOptions): Promise<void>;
}

/** BuildKit's own client: no engine in between. */
export function buildctl(name: string, address: string, images: string): Builder {
  return {
    name,
    images,
    async build({ context, buildArgs = [], push }) {
      const args = ['--addr', address, 'build', '--frontend', 'dockerfile.v0', '--progress', 'plain'];
      args.push('--local', `context=${context}`, '--local', `dockerfile=${context}`);
      for (const value of buildArgs) args.push('--opt', `build-arg:${value}`);
      if (push) args.push('--output', `type=image,name=${push},push=true`);
      await succeed(buildKitProgram('buildctl'), args, { env: process.env });
    },
  };
}

/** The docker command: `docker buildx build`, or the classic builder. */
export function dockerBuild(
  name: string,
  { env, images, classic }: { env: NodeJS.ProcessEnv; images: string; classic: boolean },
): Builder {
  return {
    name,
    images,
    async build({ context, buildArgs = [] }) {
      const args = classic
        ? ['build', '--quiet']
        : ['buildx', 'build', '--progress', 'plain', '--provenance=false'];
      for (const value of buildArgs) args.push('--build-arg', value);
      args.push('--tag', 'bench', context);
      await succeed('docker', args, { env: { ...env, DOCKER_BUILDKIT: classic ? '0' : '1' } });
    },
  };
}
