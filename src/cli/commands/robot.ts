import type { Auth } from '#auth/auth.ts';
import { commandActor, listAll, many, permissionOf, withAccounts } from './accounts.ts';
import type { CommandGroup, Invocation } from './command.ts';
import { futureMoment, shownMoment } from './moments.ts';

/** `slipway robot …`: accounts for machines. */
export const robot: CommandGroup = {
  summary:
    'Accounts for machines. One logs in as robot+NAME, with a secret of `slipway token create robot:NAME`.',
  commands: {
    add: {
      summary: 'Make a robot, and a first secret, which is shown once',
      arguments: ['NAME'],
      options: {
        description: { type: 'string', value: 'TEXT', description: 'What it is for' },
        expires: { type: 'string', value: 'WHEN', description: 'In 90d, or a date; never without' },
        grant: {
          type: 'string',
          multiple: true,
          value: 'PATTERN=ACTIONS',
          description: "What it may do, such as 'team/**=pull,push'; repeatable",
        },
      },
      async run(invocation) {
        const { options, output } = invocation;
        const [name] = invocation.arguments as [string];
        const grants = many(options.grant).map(permissionOf);
        const description = options.description as string | undefined;
        const expiresAt = options.expires === undefined ? undefined : futureMoment(options.expires as string);
        const { secret, ...made } = await withAccounts(invocation, async ({ robots, policies, secrets }) => {
          const actor = commandActor('robot add');
          const created = await robots.create({ name, description, expiresAt }, actor);
          for (const grant of grants) await policies.put({ subject: `robot:${name}`, ...grant }, actor);
          const first = await secrets.create({ owner: `robot:${name}` }, actor);
          return { ...created, secret: first.secret };
        });
        output.result(`made robot+${name}; its secret, which is not shown again:\n${secret}`, {
          ...made,
          secret,
        });
      },
    },
    list: {
      summary: 'List the robots',
      async run(invocation) {
        const robots = await withAccounts(invocation, ({ robots: service }) => listAll(service));
        invocation.output.table(robots, [
          { title: 'NAME', value: ({ name }) => name },
          { title: 'STATE', value: ({ disabled }) => (disabled ? 'disabled' : 'active') },
          { title: 'DESCRIPTION', value: ({ description }) => description },
          { title: 'CREATED', value: ({ createdAt }) => shownMoment(createdAt) },
          { title: 'EXPIRES', value: ({ expiresAt }) => shownMoment(expiresAt) ?? 'never' },
        ]);
      },
    },
    disable: {
      summary: 'Log a robot out, and in no more',
      arguments: ['NAME'],
      run: (invocation) =>
        perform(invocation, 'disabled', ({ robots }, name) =>
          robots.update(name, { disabled: true }, commandActor('robot disable')),
        ),
    },
    enable: {
      summary: 'Let a robot that was disabled log in again',
      arguments: ['NAME'],
      run: (invocation) =>
        perform(invocation, 'enabled', ({ robots }, name) =>
          robots.update(name, { disabled: false }, commandActor('robot enable')),
        ),
    },
    remove: {
      summary: 'Remove a robot, with grants and secrets',
      arguments: ['NAME'],
      run: (invocation) =>
        perform(invocation, 'removed', ({ robots }, name) =>
          robots.remove(name, commandActor('robot remove')),
        ),
    },
  },
};

async function perform(
  invocation: Invocation,
  said: string,
  task: (auth: Auth, name: string) => Promise<unknown>,
): Promise<void> {
  const [name] = invocation.arguments as [string];
  await withAccounts(invocation, (auth) => task(auth, name));
  invocation.output.result(`${name}: ${said}`, { name });
}
