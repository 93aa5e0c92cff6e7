import { forbidden } from '#errors/errors.ts';
import { parseImageReference } from '#oci/reference.ts';
import type { Publication } from './job-queue.ts';
import type { BuildSpec, RunSpec } from './specs.ts';

/** Refuses names that a job did not ask for: a worker gives none of its own. Throws `forbidden`. */
export function requireAsked(spec: unknown, publications: readonly Publication[]): void {
  const asked = new Set(namesIn(spec).map(fullName));
  for (const { repository, tags } of publications) {
    for (const tag of tags) {
      const name = `${repository}:${tag}`;
      if (!asked.has(name)) throw forbidden(`the job does not ask for the name ${name}`);
    }
  }
}

function namesIn(spec: unknown): string[] {
  const { tags = [], artifacts = [] } = spec as Partial<BuildSpec & RunSpec>;
  return [...tags, ...artifacts.map(({ name }) => name)];
}

function fullName(text: string): string {
  const { domain, path, tag = 'latest' } = parseImageReference(text);
  return `${domain}/${path}:${tag}`;
}
