import { forbidden } from '#errors/errors.ts';
import { parseImageReference } from '#oci/reference.ts';
import type { BuildSpec, RunSpec } from '../jobs/specs.ts';
import { allowsRegistry, type TenantPolicy } from './tenant-policy.ts';

/** Throws `forbidden` for a job that names a registry which its tenant's policy does not. */
export function checkJob(kind: string, spec: unknown, policy: TenantPolicy): void {
  for (const name of kind === 'build' ? (spec as BuildSpec).tags : namesOf(spec as RunSpec)) {
    const { domain } = parseImageReference(name);
    if (!allowsRegistry(policy, domain)) {
      throw forbidden(`your tenant's policy does not allow the registry ${domain}`);
    }
  }
}

function namesOf({ image, artifacts }: RunSpec): string[] {
  return [image, ...artifacts.map(({ name }) => name)];
}
