import { commandActor, many, permissionOf, withAccounts } from './accounts.ts';
import type { CommandGroup } from './command.ts';
import { futureMoment, shownMoment } from './moments.ts';

/** `slipway token …`: passwords that Slipway makes, and the keys that it signs tokens with. */
export const token: CommandGroup = {
  summary:
    'Access tokens of users and secrets of robots, for docker login; and the keys that sign what they get.',
  commands: {
    create: {
      summary: 'Make one for user:NAME or robot:NAME; it is shown once',
      arguments: ['OWNER'],
      options: {
        description: { type: 'string', value: 'TEXT', description: 'What it is for' },
        expires: { type: 'string', value: 'WHEN', description: 'In 90d, or a date; never without' },
        limit: {
          type: 'string',
          multiple: true,
          value: 'PATTERN=ACTIONS',
          description: "All it is good for, such as 'team/**=pull'; repeatable",
        },
      },
      async run(invocation) {
        const { options } = invocation;
        const [owner] = invocation.arguments as [string];
        const limits = many(options.limit).map(permissionOf);
        const made = await withAccounts(invocation, ({ secrets }) =>
          secrets.create(
            {
              owner,
              description: options.description as string | undefined,
              permissions: limits.length > 0 ? limits : undefined,
              expiresAt: options.expires === undefined ? undefined : futureMoment(options.expires as string),
            },
            commandActor('token create'),
          ),
        );
        invocation.output.result(made.secret, made);
      },
    },
    list: {
      summary: 'List those of user:NAME or robot:NAME',
      arguments: ['OWNER'],
      async run(invocation) {
        const [owner] = invocation.arguments as [string];
        const found = await withAccounts(invocation, ({ secrets }) => secrets.list(owner));
        invocation.output.table(found, [
          { title: 'ID', value: ({ id }) => id },
          { title: 'DESCRIPTION', value: ({ description }) => description },
          {
            title: 'LIMITS',
            value: ({ permissions }) =>
              permissions?.map(({ pattern, actions }) => `${pattern}=${actions.join(',')}`).join(' '),
          },
          { title: 'CREATED', value: ({ createdAt }) => shownMoment(createdAt) },
          { title: 'LAST USED', value: ({ lastUsedAt }) => shownMoment(lastUsedAt) },
          { title: 'EXPIRES', value: ({ expiresAt }) => shownMoment(expiresAt) ?? 'never' },
        ]);
      },
    },
    revoke: {
      summary: 'Make one void, and log out what it logged in',
      arguments: ['OWNER', 'ID'],
      async run(invocation) {
        const [owner, id] = invocation.arguments as [string, string];
        await withAccounts(invocation, ({ secrets }) =>
          secrets.remove(owner, id, commandActor('token revoke')),
        );
        invocation.output.result(`revoked ${id}`, { owner, id });
      },
    },
    keys: {
      summary: 'List the keys that sign tokens',
      async run(invocation) {
        const found = await withAccounts(invocation, ({ keys }) => keys.list());
        invocation.output.table(found, [
          { title: 'ID', value: ({ kid }) => kid },
          { title: 'SIGNS', value: ({ signs }) => (signs ? 'yes' : 'no') },
          { title: 'CREATED', value: ({ createdAt }) => shownMoment(createdAt) },
          { title: 'SIGNS FROM', value: ({ signsFrom }) => shownMoment(signsFrom) },
        ]);
      },
    },
    'rotate-keys': {
      summary: 'Sign with a new key',
      options: {
        'revoke-others': { type: 'boolean', description: 'Make all tokens from before void at once' },
      },
      async run(invocation) {
        const revokeOthers = invocation.options['revoke-others'] === true;
        const kid = await withAccounts(invocation, ({ keys }) =>
          keys.rotate({ revokeOthers }, commandActor('token rotate-keys')),
        );
        invocation.output.result(`made key ${kid}`, { kid });
      },
    },
  },
};
