import { invalid } from '#errors/errors.ts';
import { type Digest, digestOf } from '#oci/digest.ts';
import type { ExecOp, Op, SourceOp } from '#worker/build/llb/op.ts';
import { type Edge, type Vertex, vertex } from '#worker/build/llb/vertex.ts';
import type { CacheMap, OpContext, OpDriver } from '#worker/build/solve/op-driver.ts';
import type { OpDrivers } from '#worker/build/solve/op-drivers.ts';
import type { LayersRef, Ref } from '#worker/build/solve/ref.ts';

/** What a fake step is told to do; it does it when it runs. */
export type Behaviour = (context: OpContext, inputs: readonly Ref[]) => Promise<void> | void;

/**
 * Drivers without files. An exec adds the layer that its arguments name; with `content` in its environment, it counts
 * its inputs by contents. Files of a client are what its session's directory is called.
 */
export class FakeDrivers {
  readonly behaviours = new Map<string, Behaviour>();
  /** What ran, by name, in order. */
  readonly ran: string[] = [];
  readonly ended: string[] = [];
  readonly identified: string[] = [];
  /** How often a driver of steps was told that one is expected. */
  expected = 0;
  hashed = 0;
  running = 0;
  most = 0;
  /** Directories that are there. */
  synced = 0;
  #unique = 0;
  layerOf: (name: string) => Digest = (name) => digestOf(name);

  get drivers(): OpDrivers {
    const step = this.#step();
    return { source: this.#source(), exec: step, file: step, merge: step, diff: step } as OpDrivers;
  }

  #source(): OpDriver<SourceOp> {
    return {
      cacheMap: async ({ op }, context): Promise<CacheMap> => {
        this.identified.push(op.identifier);
        await this.behaviours.get(`identify ${op.identifier}`)?.(context, []);
        if (op.identifier.startsWith('local://'))
          return { digest: `unique ${this.#unique++}`, opaque: true, inputs: [] };
        return { digest: digestOf(op.identifier), inputs: [] };
      },
      run: async ({ op }, _inputs, context) => {
        this.ran.push(op.identifier);
        await this.behaviours.get(op.identifier)?.(context, []);
        if (!op.identifier.startsWith('local://')) {
          context.reused();
          return [{ kind: 'layers', layers: [{ diffId: digestOf(op.identifier) }] }];
        }
        this.synced++;
        context.resources.defer(() => void this.synced--);
        const files = await context.session.secret('files', { signal: context.signal });
        return [{ kind: 'directory', root: '/none', id: Buffer.from(files).toString() }];
      },
    };
  }

  #step(): OpDriver {
    return {
      expected: () => void this.expected++,
      cacheMap: async ({ op, inputs }): Promise<CacheMap> => {
        const byContent = op.kind === 'exec' && op.env.includes('content');
        const contentDigest = async (ref: Ref) => {
          this.hashed++;
          return digestOf(ref.kind === 'directory' ? ref.id : ref.layers.map((one) => one.diffId).join());
        };
        return {
          digest: digestOf(JSON.stringify(op)),
          inputs: inputs.map((_input, at) =>
            byContent && at === inputs.length - 1 ? { contentDigest } : {},
          ),
        };
      },
      run: async ({ op }, inputs, context) => {
        const name = op.kind === 'exec' ? op.args.join(' ') : op.kind;
        this.ran.push(name);
        this.most = Math.max(this.most, ++this.running);
        try {
          await this.behaviours.get(name)?.(context, inputs);
        } finally {
          this.running--;
          this.ended.push(name);
        }
        const below = inputs[0]?.kind === 'layers' ? inputs[0].layers : [];
        if (name.startsWith('nothing')) return [{ kind: 'layers', layers: below }];
        const files = inputs.flatMap((input) => (input.kind === 'directory' ? [` with ${input.id}`] : []));
        const diffId = this.layerOf(name + files.join(''));
        const output: LayersRef = { kind: 'layers', layers: [...below, { diffId }] };
        return name.startsWith('two') ? [output, { kind: 'layers', layers: [] }] : [output];
      },
    };
  }
}

export function source(identifier: string): Edge {
  const op: SourceOp = { kind: 'source', identifier, attrs: {} };
  return { vertex: vertex(op, [], { metadata: { name: identifier } }), output: 0 };
}

export const base = source('docker-image://base');

export interface StepOptions {
  readonly content?: boolean;
  readonly ignoreCache?: boolean;
  readonly network?: string;
}

/** A step on `inputs`. */
export function step(name: string, inputs: readonly Edge[] = [base], options: StepOptions = {}): Edge {
  const op: ExecOp = {
    kind: 'exec',
    args: [name],
    env: options.content ? ['content'] : [],
    cwd: '/',
    user: '',
    network: options.network ?? 'default',
    security: 'sandbox',
    mounts: [],
  };
  const metadata = { name, ...(options.ignoreCache && { ignoreCache: true }) };
  return { vertex: vertex<Op>(op, inputs, { metadata }) as Vertex, output: 0 };
}

export function failing(message: string): Behaviour {
  return () => {
    throw invalid(message);
  };
}

/** A step that waits until it is let go, and hears when it has begun. */
export function gate() {
  const began = Promise.withResolvers<OpContext>();
  const open = Promise.withResolvers<void>();
  const behaviour: Behaviour = (context) => {
    began.resolve(context);
    return Promise.race([
      open.promise,
      new Promise<never>((_resolve, reject) =>
        context.signal.addEventListener('abort', () => reject(context.signal.reason), { once: true }),
      ),
    ]);
  };
  return { behaviour, began: began.promise, open: open.resolve };
}
