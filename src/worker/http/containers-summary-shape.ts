import type { Container } from '../containers/container.ts';
import type { ContainerSize } from '../containers/list/container-sizes.ts';
import { statusText } from '../containers/list/container-status.ts';
import { portSummaries } from '../containers/published-ports.ts';
import { epochSeconds } from '../containers/timestamp.ts';
import { mountShape } from './containers-inspect-shape.ts';
import { networksShape } from './containers-network-shape.ts';

/** One element of `GET /containers/json`. `image`: its name if that still means its image, else the image's ID. */
export function summaryShape(container: Container, image: string, size?: ContainerSize): object {
  const { record } = container;
  const { Annotations, NetworkMode } = record.hostConfig;
  return {
    Id: container.id,
    Names: [`/${record.name}`],
    Image: image,
    ImageID: record.imageId,
    Command: commandText(record.path, record.args),
    Created: epochSeconds(record.createdAt),
    Ports: portSummaries(container),
    ...(size && { SizeRw: size.own, SizeRootFs: size.total }),
    Labels: record.config.Labels,
    State: container.state.status,
    Status: statusText(container.state),
    HostConfig: { NetworkMode, ...(Annotations && { Annotations }) },
    NetworkSettings: { Networks: networksShape(container) },
    Mounts: record.mounts.map(mountShape),
  };
}

/** Arguments with spaces are quoted, the program is not. */
export function commandText(path: string, args: readonly string[]): string {
  return [path, ...args.map((arg) => (arg.includes(' ') ? `'${arg}'` : arg))].join(' ');
}
