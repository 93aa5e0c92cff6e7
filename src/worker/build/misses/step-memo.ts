import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Op } from '../llb/op.ts';
import type { MissedStep } from '../solve/missed-step.ts';

const inputMemo = z.object({
  /** What of it counts; see `MissedInput`. */
  key: z.string(),
  /** Of a source, where it comes from. */
  source: z.string().optional(),
});

const stepMemo = z.object({
  /** By which its outcome was found. */
  key: z.string(),
  /** Digests of the parts of its op, by what people call them. */
  parts: z.record(z.string(), z.string()),
  inputs: z.array(inputMemo),
});

/** What a step was when it was last done. Nothing can be read in it that may be secret. */
export type StepMemo = z.infer<typeof stepMemo>;

export function memoOf({ key, op, vertex, inputs }: MissedStep): StepMemo {
  return {
    key,
    parts: { '': op, ...partsOf(vertex.op) },
    inputs: inputs.map((input) => ({
      key: input.key,
      ...(input.vertex.op.kind === 'source' && { source: sourceOf(input.vertex.op.identifier) }),
    })),
  };
}

/** undefined for what an earlier version wrote in another form. */
export function readMemo(text: string): StepMemo | undefined {
  const { success, data } = stepMemo.safeParse(JSON.parse(text));
  return success ? data : undefined;
}

/** Without the digest that an image's name was resolved to, or a session's own. */
function sourceOf(identifier: string): string {
  return identifier.replace(/@sha256:[0-9a-f]{64}$/, '');
}

/** Of other kinds there is nothing to tell apart. */
function partsOf(op: Op): Record<string, string> {
  if (op.kind !== 'exec') return {};
  const { args, env, user, cwd, network, mounts, secretEnv } = op;
  const parts: Record<string, string> = {
    'the command': short(args),
    'the user': short(user),
    'the working directory': short(cwd),
    'the network': short(network),
    'the mounts': short([mounts, secretEnv]),
  };
  for (const variable of env) {
    const at = variable.indexOf('=');
    parts[`variable ${variable.slice(0, at)}`] = short(variable.slice(at + 1));
  }
  return parts;
}

function short(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64url').slice(0, 16);
}
