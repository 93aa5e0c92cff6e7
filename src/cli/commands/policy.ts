import { Refusal } from '../refusal.ts';
import { commandActor, many, parseActions, withAccounts } from './accounts.ts';
import type { Command, CommandGroup } from './command.ts';

const grants: Readonly<Record<string, Command>> = {
  grant: {
    summary: 'Say what a subject may do: grant user:ada team/** pull,push',
    arguments: ['SUBJECT', 'PATTERN', 'ACTIONS'],
    async run(invocation) {
      const [subject, pattern, text] = invocation.arguments as [string, string, string];
      const actions = parseActions(text);
      await withAccounts(invocation, ({ policies }) =>
        policies.put({ subject, pattern, actions }, commandActor('policy grant')),
      );
      invocation.output.result(`${subject} may ${actions.join(', ')} ${pattern}`, {
        subject,
        pattern,
        actions,
      });
    },
  },
  revoke: {
    summary: 'Take back what a subject was granted for a pattern',
    arguments: ['SUBJECT', 'PATTERN'],
    async run(invocation) {
      const [subject, pattern] = invocation.arguments as [string, string];
      await withAccounts(invocation, ({ policies }) =>
        policies.remove({ subject, pattern }, commandActor('policy revoke')),
      );
      invocation.output.result(`took ${pattern} back from ${subject}`, { subject, pattern });
    },
  },
  list: {
    summary: 'List what was granted',
    options: { subject: { type: 'string', value: 'SUBJECT', description: 'To this one only' } },
    async run(invocation) {
      const subject = invocation.options.subject as string | undefined;
      const found = await withAccounts(invocation, ({ policies }) => policies.list({ subject }));
      invocation.output.table(found, [
        { title: 'SUBJECT', value: (grant) => grant.subject },
        { title: 'PATTERN', value: ({ pattern }) => pattern },
        { title: 'ACTIONS', value: ({ actions }) => actions.join(',') },
        { title: 'BY', value: ({ createdBy }) => createdBy },
      ]);
    },
  },
};

const trust: Readonly<Record<string, Command>> = {
  trust: {
    summary: "Let an OpenID issuer's tokens log in, as federated:NAME",
    arguments: ['NAME'],
    options: {
      issuer: {
        type: 'string',
        value: 'URL',
        description: 'Whose tokens: https://token.actions.githubusercontent.com',
      },
      audience: { type: 'string', value: 'TEXT', description: 'What they have to be for' },
      claim: {
        type: 'string',
        multiple: true,
        value: 'CLAIM=PATTERN',
        description:
          'What they have to say: repository=acme/*; repeatable, several of a claim are alternatives',
      },
    },
    async run(invocation) {
      const [name] = invocation.arguments as [string];
      const { issuer = '', audience = '', claim } = invocation.options as Record<string, string>;
      const claims = parseClaims(many(claim as never));
      const policy = await withAccounts(invocation, (auth) =>
        auth.trust.put({ name, issuer, audience, claims }, commandActor('policy trust')),
      );
      invocation.output.result(`trusts ${issuer} as federated:${name}`, policy);
    },
  },
  untrust: {
    summary: 'Trust an issuer no longer, and let out what it let in',
    arguments: ['NAME'],
    async run(invocation) {
      const [name] = invocation.arguments as [string];
      await withAccounts(invocation, (auth) => auth.trust.remove(name, commandActor('policy untrust')));
      invocation.output.result(`trusts ${name} no longer`, { name });
    },
  },
  trusted: {
    summary: 'List the issuers that are trusted',
    async run(invocation) {
      const found = await withAccounts(invocation, (auth) => auth.trust.list());
      invocation.output.table(found, [
        { title: 'NAME', value: ({ name }) => name },
        { title: 'ISSUER', value: ({ issuer }) => issuer },
        { title: 'AUDIENCE', value: ({ audience }) => audience },
        { title: 'CLAIMS', value: ({ claims }) => JSON.stringify(claims) },
      ]);
    },
  },
};

const groups: Readonly<Record<string, Command>> = {
  'group-add': {
    summary: 'Put user:NAME or robot:NAME into a group, which may be granted things as group:NAME',
    arguments: ['GROUP', 'MEMBER'],
    async run(invocation) {
      const [group, member] = invocation.arguments as [string, string];
      await withAccounts(invocation, (auth) =>
        auth.groups.add(group, member, commandActor('policy group-add')),
      );
      invocation.output.result(`${member} is in group:${group}`, { group, member });
    },
  },
  'group-remove': {
    summary: 'Take someone out of a group',
    arguments: ['GROUP', 'MEMBER'],
    async run(invocation) {
      const [group, member] = invocation.arguments as [string, string];
      await withAccounts(invocation, (auth) =>
        auth.groups.remove(group, member, commandActor('policy group-remove')),
      );
      invocation.output.result(`${member} is no longer in group:${group}`, { group, member });
    },
  },
  groups: {
    summary: 'List the members of groups',
    async run(invocation) {
      const found = await withAccounts(invocation, (auth) => auth.groups.list());
      invocation.output.table(found, [
        { title: 'GROUP', value: ({ group }) => group },
        { title: 'MEMBER', value: ({ member }) => member },
      ]);
    },
  },
};

/** `slipway policy …`: who may do what, and who is trusted to say who someone is. */
export const policy: CommandGroup = {
  summary: [
    'Who may do what. SUBJECT is user:NAME, robot:NAME, group:NAME, federated:NAME, authenticated or anonymous;',
    'PATTERN is a repository or several: team/app, team/*, team/**, **; ACTIONS are some of pull,push,delete,admin.',
  ].join('\n'),
  commands: { ...grants, ...trust, ...groups },
};

/** `repository=acme/*`, and the same claim again for another that is as good. */
function parseClaims(pairs: readonly string[]): Record<string, string[]> {
  const claims = new Map<string, string[]>();
  for (const pair of pairs) {
    const [, claim, rule] = /^([^=]+)=(.+)$/.exec(pair) ?? [];
    if (!claim || !rule) throw new Refusal(`--claim ${pair}: expected CLAIM=PATTERN`, { exitCode: 2 });
    claims.set(claim, [...(claims.get(claim) ?? []), rule]);
  }
  return Object.fromEntries(claims);
}
