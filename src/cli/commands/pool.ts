import { openPoolDatabase } from '#database/pool/open.ts';
import { isKind, notFound } from '#errors/errors.ts';
import { Enrolment } from '#pool/workers/enrolment.ts';
import { MembershipRepository } from '#pool/workers/membership-repository.ts';
import { type PoolWorker, WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';
import { poolDatabaseOptions } from '../pool/database.ts';
import { Refusal } from '../refusal.ts';
import type { Command, CommandGroup, Invocation } from './command.ts';
import { shownMoment } from './moments.ts';
import { tenantCommands } from './pool-tenants.ts';
import { parseSpan } from './with-housekeeping.ts';

const TOKEN_LIFE = '1h';

interface Pool {
  readonly members: MembershipRepository;
  readonly leases: WorkerLeasesRepository;
  enrolment(): Promise<Enrolment>;
}

/** `slipway pool …`: on the pool's database, whether or not a gateway runs. */
export const pool: CommandGroup = {
  summary: 'Workers behind a gateway, and the tokens that let them join',
  commands: {
    'token-create': {
      summary: 'Make a token that lets one worker join, which is shown once',
      options: {
        life: {
          type: 'string',
          value: 'TIME',
          description: `How long it is good for, such as 30m; ${TOKEN_LIFE} without`,
        },
      },
      async run(invocation) {
        const life = parseSpan('life', (invocation.options.life as string | undefined) ?? TOKEN_LIFE)!;
        const token = await withPool(invocation, async ({ enrolment }) =>
          (await enrolment()).createToken(life),
        );
        invocation.output.result(token.text, { id: token.id, token: token.text, expiresAt: token.expiresAt });
      },
    },
    'token-list': {
      summary: 'List the tokens, without what they say',
      async run(invocation) {
        const tokens = await withPool(invocation, ({ members }) => members.tokens());
        invocation.output.table(tokens, [
          { title: 'ID', value: ({ id }) => id },
          { title: 'CREATED', value: ({ createdAt }) => shownMoment(createdAt) },
          { title: 'EXPIRES', value: ({ expiresAt }) => shownMoment(expiresAt) },
          { title: 'USED', value: ({ usedAt }) => (usedAt === null ? undefined : shownMoment(usedAt)) },
        ]);
      },
    },
    'token-remove': {
      summary: 'Make a token good for nothing',
      arguments: ['ID'],
      run: (invocation) => remove(invocation, 'token', ({ members }, id) => members.removeToken(id)),
    },
    'worker-list': {
      summary: 'List the workers',
      async run(invocation) {
        const workers = await withPool(invocation, ({ leases }) => leases.list());
        invocation.output.table(workers, [
          { title: 'NAME', value: ({ name }) => name },
          { title: 'STATE', value: ({ state }) => state },
          { title: 'ADDRESS', value: ({ address }) => address },
          { title: 'PLATFORMS', value: ({ offer }) => offer.platforms.join(' ') },
          { title: 'CPUS', value: ({ offer }) => offer.cpus },
          { title: 'LABELS', value: labelsOf },
        ]);
      },
    },
    'worker-drain': drainCommand(true),
    'worker-resume': drainCommand(false),
    'worker-remove': {
      summary: 'Let a worker in no more: what it runs goes on, but the pool forgets it',
      arguments: ['NAME'],
      run: (invocation) => remove(invocation, 'worker', ({ members }, name) => members.remove(name)),
    },
    ...tenantCommands,
  } satisfies Record<string, Command>,
};

/** `slipway worker drain|resume`, which are commands of the pool's too. */
export const workerCommands: CommandGroup = {
  summary: 'What a worker of a pool gets to do',
  commands: { drain: drainCommand(true), resume: drainCommand(false) },
};

function drainCommand(drained: boolean): Command {
  return {
    summary: drained
      ? 'Give a worker nothing new: what it does goes on to its end'
      : 'Let a worker that was drained get work again',
    arguments: ['NAME'],
    async run(invocation) {
      const [name] = invocation.arguments as [string];
      if (!(await withPool(invocation, ({ leases }) => leases.drain(name, drained)))) {
        throw notFound(`there is no worker '${name}'`);
      }
      invocation.output.result(`${name}: ${drained ? 'gets nothing new' : 'gets work again'}`, {
        name,
        drained,
      });
    },
  };
}

function labelsOf({ offer }: PoolWorker): string {
  return Object.entries(offer.labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');
}

async function remove(
  invocation: Invocation,
  what: string,
  task: (pool: Pool, id: string) => Promise<boolean>,
): Promise<void> {
  const [id] = invocation.arguments as [string];
  if (!(await withPool(invocation, (each) => task(each, id)))) throw notFound(`there is no ${what} '${id}'`);
  invocation.output.result(`${id}: removed`, { id });
}

async function withPool<T>({ config }: Invocation, task: (pool: Pool) => Promise<T>): Promise<T> {
  const options = await poolDatabaseOptions(config);
  const db = await openPoolDatabase(options).catch((error) => {
    if (isKind(error, 'unavailable')) throw error;
    throw new Refusal(`the pool's database cannot be opened: ${error.message}`, { cause: error });
  });
  try {
    const members = new MembershipRepository(db);
    return await task({
      members,
      leases: new WorkerLeasesRepository(db),
      enrolment: () => Enrolment.open(members, { life: config.pool.certificateLife }),
    });
  } finally {
    await db.destroy();
  }
}
