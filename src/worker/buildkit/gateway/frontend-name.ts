import { unsupported } from '#errors/errors.ts';

const DOCKERFILE_IMAGE = /^(docker\.io\/)?docker\/dockerfile(-upstream)?(:|@|$)/;

/**
 * Which of our frontends is meant. `gateway.v0` names one by its image; that of Dockerfiles is ours too, and no other is
 * run. Throws `unsupported`.
 */
export function frontendOf(name: string, options: Readonly<Record<string, string>>): string {
  if (name !== 'gateway.v0') return name;
  const source = options.source ?? '';
  if (source === 'dockerfile.v0' || DOCKERFILE_IMAGE.test(source)) return 'dockerfile.v0';
  throw unsupported(
    `frontend images are not run here, and ${source || 'none'} is no version of docker/dockerfile`,
  );
}
