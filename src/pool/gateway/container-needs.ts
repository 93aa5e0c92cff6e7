import { invalid } from '#errors/errors.ts';
import { type Constraint, parseConstraint } from '../scheduler/place.ts';

/** What of the body of `POST /containers/create` says where a container can be. */
export interface ContainerNeeds {
  readonly image: string;
  readonly constraints: readonly Constraint[];
  readonly project: string | undefined;
  /** Names or IDs. */
  readonly containers: readonly string[];
  readonly networks: readonly string[];
  readonly volumes: readonly string[];
}

type Body = Record<string, unknown>;

const CONSTRAINT = 'constraint:';
/** A comma between each. */
export const CONSTRAINT_LABEL = 'com.slipway.constraint';

/** Reads leniently: what is wrong with a body, the worker says. Throws `invalid` for a constraint that is none. */
export function needsOf(body: Body): ContainerNeeds {
  const host = object(body.HostConfig);
  const labels = object(body.Labels);
  const modes = [host.NetworkMode, host.IpcMode, host.PidMode].filter(isText);
  const endpoints = Object.keys(object(object(body.NetworkingConfig).EndpointsConfig));
  const networkMode = isText(host.NetworkMode) ? host.NetworkMode : '';
  const project = labels['com.docker.compose.project'];
  return {
    image: isText(body.Image) ? body.Image : '',
    constraints: constraintsOf(texts(body.Env), labels),
    project: isText(project) ? project : undefined,
    containers: [
      ...modes.filter((mode) => mode.startsWith('container:')).map((mode) => mode.slice('container:'.length)),
      ...texts(host.VolumesFrom).map((text) => text.replace(/:(?:ro|rw|z|Z)$/, '')),
      ...texts(host.Links).map((text) => text.split(':')[0]!.replace(/^\//, '')),
    ],
    networks: unique([
      ...(isNetworkName(networkMode) ? [networkMode] : []),
      ...endpoints.filter(isNetworkName),
    ]),
    volumes: unique([
      ...texts(host.Binds)
        .map((bind) => bind.split(':'))
        .filter((parts) => parts.length > 1 && !parts[0]!.startsWith('/'))
        .map((parts) => parts[0]!),
      ...list(host.Mounts)
        .filter(({ Type, Source }) => Type === 'volume' && isText(Source) && Source !== '')
        .map(({ Source }) => Source as string),
    ]),
  };
}

/** The body as the worker gets it: constraints are for the pool. */
export function withoutConstraints(body: Body): Body {
  if (!Array.isArray(body.Env)) return body;
  return { ...body, Env: body.Env.filter((entry) => !isText(entry) || !entry.startsWith(CONSTRAINT)) };
}

function constraintsOf(env: readonly string[], labels: Body): Constraint[] {
  const label = labels[CONSTRAINT_LABEL];
  const given = [
    ...env.filter((entry) => entry.startsWith(CONSTRAINT)).map((entry) => entry.slice(CONSTRAINT.length)),
    ...(isText(label) ? label.split(',') : []),
  ];
  return given.map((text) => {
    const constraint = parseConstraint(text);
    if (constraint) return constraint;
    throw invalid(`constraint '${text}': expected LABEL==VALUE or LABEL!=VALUE`);
  });
}

function isNetworkName(name: string): boolean {
  return !['', 'default', 'bridge', 'host', 'none'].includes(name) && !name.startsWith('container:');
}

function object(value: unknown): Body {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Body) : {};
}

function list(value: unknown): Body[] {
  return Array.isArray(value) ? value.map(object) : [];
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter(isText) : [];
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)];
}
