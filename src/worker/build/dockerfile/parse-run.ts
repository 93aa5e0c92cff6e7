import { commandLine } from './command-line.ts';
import { DockerfileError } from './dockerfile-error.ts';
import { readFlags } from './flags.ts';
import { goQuote } from './go-quote.ts';
import type { RunInstruction } from './instructions.ts';
import { parseDevice } from './run-device.ts';
import { parseMount } from './run-mount.ts';
import type { PlacedStatement } from './statement.ts';
import { writtenOf } from './written.ts';

const NETWORKS = ['default', 'none', 'host'] as const;
const SECURITY = ['sandbox', 'insecure'] as const;

/** RUN. What its mounts say is checked when their variables are known. Throws `DockerfileError`. */
export function parseRun(statement: PlacedStatement): RunInstruction {
  const flags = readFlags(statement.flags, {
    mount: 'values',
    network: 'value',
    security: 'value',
    device: 'values',
  });
  // The order of the checks is BuildKit's.
  const devices = flags.values('device').map(parseDevice);
  const mounts = flags.values('mount').map(parseMount);
  const network = flags.value('network') ?? 'default';
  if (!isOneOf(NETWORKS, network)) throw new DockerfileError(`invalid network mode ${goQuote(network)}`);
  const security = flags.value('security') ?? 'sandbox';
  if (!isOneOf(SECURITY, security)) throw new DockerfileError(`security ${goQuote(security)} is not valid`);
  return {
    name: 'RUN',
    command: commandLine(statement),
    heredocs: statement.heredocs,
    mounts,
    network,
    security,
    devices,
    ...writtenOf(statement),
  };
}

function isOneOf<T extends string>(known: readonly T[], value: string): value is T {
  return (known as readonly string[]).includes(value);
}
