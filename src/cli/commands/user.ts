import { EVERYTHING } from '#auth/policies/pattern.ts';
import type { User } from '#auth/users/user.ts';
import { commandActor, listAll, withAccounts } from './accounts.ts';
import type { CommandGroup, Invocation } from './command.ts';
import { shownMoment } from './moments.ts';
import { readPassword } from './read-password.ts';

/** `slipway user …`: people with accounts. */
export const user: CommandGroup = {
  summary: 'People who may log in. What they may do is granted with `slipway policy`.',
  commands: {
    add: {
      summary: 'Make a user, with a password from the terminal or standard input',
      arguments: ['NAME'],
      options: {
        admin: { type: 'boolean', description: 'Who may do everything' },
        'display-name': { type: 'string', value: 'TEXT', description: 'What people call them' },
        email: { type: 'string', value: 'ADDRESS', description: 'Where they are written to' },
        'no-password': {
          type: 'boolean',
          description: 'Only access tokens or an OpenID provider log them in',
        },
      },
      async run(invocation) {
        const { options, output } = invocation;
        const [name] = invocation.arguments as [string];
        const password = options['no-password'] ? undefined : await readPassword();
        const made = await withAccounts(invocation, async ({ users, policies }) => {
          const actor = commandActor('user add');
          const texts = { displayName: options['display-name'], email: options.email } as {
            displayName?: string;
            email?: string;
          };
          const created = await users.create({ name, password, ...texts }, actor);
          if (options.admin) {
            await policies.put({ subject: `user:${name}`, pattern: EVERYTHING, actions: ['admin'] }, actor);
          }
          return created;
        });
        output.result(`made ${name}${options.admin ? ', who may do everything' : ''}`, made);
      },
    },
    list: {
      summary: 'List the users',
      async run(invocation) {
        const users = await withAccounts(invocation, ({ users: service }) => listAll(service));
        invocation.output.table(users, [
          { title: 'NAME', value: ({ name }) => name },
          { title: 'STATE', value: state },
          { title: 'DISPLAY NAME', value: ({ displayName }) => displayName },
          { title: 'EMAIL', value: ({ email }) => email },
          { title: 'CREATED', value: ({ createdAt }) => shownMoment(createdAt) },
          { title: 'LAST LOGIN', value: ({ lastLoginAt }) => shownMoment(lastLoginAt) },
        ]);
      },
    },
    passwd: {
      summary: 'Give a user another password, which logs them out everywhere',
      arguments: ['NAME'],
      async run(invocation) {
        await change(invocation, 'passwd', { password: await readPassword() }, 'another password');
      },
    },
    disable: {
      summary: 'Log a user out everywhere, and in no more',
      arguments: ['NAME'],
      run: (invocation) => change(invocation, 'disable', { disabled: true }, 'disabled'),
    },
    enable: {
      summary: 'Let a user who was disabled log in again',
      arguments: ['NAME'],
      run: (invocation) => change(invocation, 'enable', { disabled: false }, 'enabled'),
    },
    link: {
      summary: 'Say who a user is at an OpenID provider, so that they log in with it',
      arguments: ['NAME', 'ISSUER', 'SUBJECT'],
      async run(invocation) {
        const [name, issuer, subject] = invocation.arguments as [string, string, string];
        await withAccounts(invocation, ({ identities }) =>
          identities.link(name, { issuer, subject }, commandActor('user link')),
        );
        invocation.output.result(`${name} is ${subject} at ${issuer}`, { name, issuer, subject });
      },
    },
    remove: {
      summary: 'Remove a user, with grants and access tokens',
      arguments: ['NAME'],
      async run(invocation) {
        const [name] = invocation.arguments as [string];
        await withAccounts(invocation, ({ users }) => users.remove(name, commandActor('user remove')));
        invocation.output.result(`removed ${name}`, { name });
      },
    },
  },
};

async function change(
  invocation: Invocation,
  command: string,
  what: { password?: string; disabled?: boolean },
  said: string,
): Promise<void> {
  const [name] = invocation.arguments as [string];
  const changed = await withAccounts(invocation, ({ users }) =>
    users.update(name, what, commandActor(`user ${command}`)),
  );
  invocation.output.result(`${name}: ${said}`, changed);
}

function state({ disabled, hasPassword }: User): string {
  if (disabled) return 'disabled';
  return hasPassword ? 'active' : 'no password';
}
