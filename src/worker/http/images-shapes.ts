import type { RunConfig } from '#oci/image-config.ts';
import type { ImageDetails } from '../images/list/image-details.ts';
import type { HistoryStep } from '../images/list/image-history.ts';
import { createdAt, type ImageSummary } from '../images/list/image-lister.ts';
import type { Removal } from '../images/remove/image-remover.ts';

/** One row of `GET /images/json`. Before 1.43 an image without names had one that says so. */
export function imageSummaryShape(
  image: ImageSummary,
  options: { noneNames: boolean; virtualSize: boolean; counts: boolean; sharedSize: boolean },
): object {
  const named = image.names.length > 0 || image.digests.length > 0;
  const none = options.noneNames && !named;
  return {
    Containers: options.counts ? image.containers : -1,
    Created: Math.floor(image.createdAt / 1000),
    Id: image.id,
    Labels: image.config.config?.Labels ?? null,
    ParentId: image.parent ?? '',
    RepoDigests: none ? ['<none>@<none>'] : image.digests,
    RepoTags: none ? ['<none>:<none>'] : image.names,
    SharedSize: options.sharedSize ? image.sharedSize : -1,
    Size: image.size,
    ...(options.virtualSize && { VirtualSize: image.size }),
  };
}

/** `GET /images/{name}/json`. */
export function imageInspectShape(details: ImageDetails, options: { virtualSize: boolean }): object {
  const { image, names, digests, parent, bytes, lastTaggedAt } = details;
  const { config } = image;
  return {
    Id: image.id,
    RepoTags: names,
    RepoDigests: digests,
    Parent: parent ?? '',
    Comment: config.history?.at(-1)?.comment ?? '',
    Created: config.created ?? '0001-01-01T00:00:00Z',
    DockerVersion: config.docker_version ?? '',
    Author: config.author ?? '',
    Config: configShape(config.config ?? {}),
    Architecture: config.architecture,
    ...(config.variant && { Variant: config.variant }),
    Os: config.os,
    ...(config['os.version'] && { OsVersion: config['os.version'] }),
    Size: bytes,
    ...(options.virtualSize && { VirtualSize: bytes }),
    GraphDriver: { Name: 'overlay2', Data: null },
    RootFS: { Type: 'layers', Layers: config.rootfs.diff_ids },
    Metadata: { LastTagTime: lastTaggedAt ?? '0001-01-01T00:00:00Z' },
  };
}

/** Go prints these fields whether or not they are set, and clients read them unasked. */
function configShape(config: RunConfig): object {
  return {
    Hostname: '',
    Domainname: '',
    User: '',
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    Image: '',
    WorkingDir: '',
    ...config,
    Env: config.Env ?? null,
    Cmd: config.Cmd ?? null,
    Volumes: config.Volumes ?? null,
    Entrypoint: config.Entrypoint ?? null,
    OnBuild: config.OnBuild ?? null,
    Labels: config.Labels ?? null,
  };
}

export function historyShape(steps: readonly HistoryStep[]): object[] {
  return steps.map((step) => ({
    Comment: step.comment,
    Created: Math.floor(createdAtOf(step.created) / 1000),
    CreatedBy: step.createdBy,
    Id: step.id ?? '<missing>',
    Size: step.bytes,
    Tags: step.names.length > 0 ? step.names : null,
  }));
}

export function removalShape(removals: readonly Removal[]): object[] {
  return removals.map((removal) =>
    'untagged' in removal ? { Untagged: removal.untagged } : { Deleted: removal.deleted },
  );
}

function createdAtOf(created: string | undefined): number {
  return createdAt({ created } as Parameters<typeof createdAt>[0]);
}
