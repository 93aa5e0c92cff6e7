import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { parseSubject } from '#auth/policies/subject.ts';
import { openPoolDatabase, type PoolDatabase } from '#database/pool/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { invalid, messageOf, notFound } from '#errors/errors.ts';
import { TenantsRepository } from '#pool/jobs/tenants-repository.ts';
import { ClientsRepository } from '#pool/tenants/clients-repository.ts';
import { TenantAccessRepository } from '#pool/tenants/tenant-access-repository.ts';
import { TENANT_NAME } from '#pool/tenants/tenant-header.ts';
import { parseTenantPolicy } from '#pool/tenants/tenant-policy.ts';
import { TenantRemovalRepository } from '#pool/tenants/tenant-removal-repository.ts';
import { issueCertificate, keyDigest } from '#pool/workers/certificates.ts';
import { Enrolment } from '#pool/workers/enrolment.ts';
import { MembershipRepository } from '#pool/workers/membership-repository.ts';
import { poolDatabaseOptions } from '../pool/database.ts';
import { Refusal } from '../refusal.ts';
import type { Command, Invocation } from './command.ts';
import { shownMoment } from './moments.ts';
import { parseSpan } from './with-housekeeping.ts';

const CLIENT_LIFE = '90d';

interface Access {
  readonly db: PoolDatabase;
  readonly shares: TenantsRepository;
  readonly access: TenantAccessRepository;
  readonly clients: ClientsRepository;
  readonly removals: TenantRemovalRepository;
  enrolment(): Promise<Enrolment>;
}

/** `slipway pool tenant-…` and `client-…`: who may use the pool, and what they may. */
export const tenantCommands = {
  'tenant-set': {
    summary: 'Make a tenant, or change what it may',
    arguments: ['NAME'],
    options: {
      policy: { type: 'string', value: 'FILE', description: 'What it may (YAML, docs/tenants.md)' },
    },
    async run(invocation) {
      const [name] = invocation.arguments as [string];
      if (!TENANT_NAME.test(name)) {
        throw invalid(
          `'${name}' is no tenant's name: lower-case letters, digits, dots, underscores and hyphens`,
        );
      }
      const { policy: file } = invocation.options as { policy?: string };
      const policy = parseTenantPolicy(file === undefined ? {} : readYaml(file));
      await withAccess(invocation, ({ db }) =>
        inTransaction(db, async (trx) => {
          await new TenantRemovalRepository(trx).revive(name);
          await new TenantsRepository(trx).ensure(name);
          if (file !== undefined) await new TenantAccessRepository(trx).setPolicy(name, policy);
        }),
      );
      invocation.output.result(name, { name });
    },
  },
  'tenant-list': {
    summary: 'List the tenants and who belongs to them',
    async run(invocation) {
      const rows = await withAccess(invocation, async ({ shares, access }) => {
        const [tenants, members] = [await shares.list(), await access.members()];
        return tenants.map(({ name }) => ({
          name,
          members: members.filter(({ tenant }) => tenant === name).map(({ subject }) => subject),
        }));
      });
      invocation.output.table(rows, [
        { title: 'NAME', value: ({ name }) => name },
        { title: 'MEMBERS', value: ({ members }) => members.join(' ') },
      ]);
    },
  },
  'tenant-remove': {
    summary:
      'Shut a tenant out, and take away all that it has: containers, images, volumes, networks, caches',
    arguments: ['NAME'],
    async run(invocation) {
      const [name] = invocation.arguments as [string];
      const workers = await withAccess(invocation, ({ removals }) => removals.remove(name));
      const going = workers.length > 0 ? `; what ${workers.join(', ')} have of it goes` : '';
      invocation.output.result(`${name}: removed${going}`, { name, workers });
    },
  },
  'tenant-grant': {
    summary: 'Let a user, a robot, a group or a trust policy of the registry in as a tenant',
    arguments: ['NAME', 'SUBJECT'],
    async run(invocation) {
      const [tenant, text] = invocation.arguments as [string, string];
      const subject = parseSubject(text);
      if (!subject.includes(':'))
        throw invalid(`${subject} is everybody: expected user:NAME, robot:NAME, group:NAME`);
      await withAccess(invocation, ({ access }) => access.add({ tenant, subject }));
      invocation.output.result(`${subject}: ${tenant}`, { tenant, subject });
    },
  },
  'tenant-revoke': {
    summary: 'Let somebody in no more',
    arguments: ['NAME', 'SUBJECT'],
    async run(invocation) {
      const [tenant, subject] = invocation.arguments as [string, string];
      if (!(await withAccess(invocation, ({ access }) => access.remove({ tenant, subject })))) {
        throw notFound(`${subject} does not belong to the tenant '${tenant}'`);
      }
      invocation.output.result(`${subject}: removed`, { tenant, subject });
    },
  },
  'client-create': {
    summary: 'Make a certificate for a client of the pool: a folder for DOCKER_CERT_PATH',
    arguments: ['NAME'],
    options: {
      for: { type: 'string', value: 'SUBJECT', description: 'Whose it is: user:ada, robot:ci' },
      output: {
        type: 'string',
        value: 'FOLDER',
        description: 'Where ca.pem, cert.pem and key.pem go; NAME without',
      },
      life: { type: 'string', value: 'TIME', description: `How long it is good for; ${CLIENT_LIFE} without` },
    },
    async run(invocation) {
      const [name] = invocation.arguments as [string];
      const options = invocation.options as { for?: string; output?: string; life?: string };
      const subject = parseSubject(options.for ?? '');
      if (!/^(?:user|robot):/.test(subject)) throw invalid('--for: expected user:NAME or robot:NAME');
      const life = parseSpan('life', options.life ?? CLIENT_LIFE)!;
      const folder = options.output ?? name;
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const spki = publicKey.export({ type: 'spki', format: 'pem' }).toString();
      const { certificate, ca } = await withAccess(invocation, async ({ clients, enrolment }) => {
        const { authority } = await enrolment();
        await clients.add({ name, subject, keyDigest: keyDigest(spki) }, life);
        const member = { name, role: 'client' } as const;
        return {
          certificate: await issueCertificate(authority, { publicKey: spki, member, life }),
          ca: authority.certificate,
        };
      });
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
      for (const [file, text] of Object.entries({ 'ca.pem': ca, 'cert.pem': certificate, 'key.pem': key })) {
        writeFileSync(join(folder, file), text, { mode: 0o600 });
      }
      invocation.output.result(folder, { name, subject, folder });
    },
  },
  'client-list': {
    summary: 'List the certificates of clients',
    async run(invocation) {
      invocation.output.table(await withAccess(invocation, ({ clients }) => clients.list()), [
        { title: 'NAME', value: ({ name }) => name },
        { title: 'FOR', value: ({ subject }) => subject },
        { title: 'EXPIRES', value: ({ expiresAt }) => shownMoment(expiresAt) },
      ]);
    },
  },
  'client-remove': {
    summary: 'Make a certificate of a client good for nothing',
    arguments: ['NAME'],
    async run(invocation) {
      const [name] = invocation.arguments as [string];
      if (!(await withAccess(invocation, ({ clients }) => clients.remove(name)))) {
        throw notFound(`there is no client '${name}'`);
      }
      invocation.output.result(`${name}: removed`, { name });
    },
  },
} satisfies Record<string, Command>;

function readYaml(file: string): unknown {
  try {
    return parse(readFileSync(file, 'utf8')) ?? {};
  } catch (error) {
    throw new Refusal(`${file}: ${messageOf(error)}`, { cause: error });
  }
}

async function withAccess<T>({ config }: Invocation, task: (access: Access) => Promise<T>): Promise<T> {
  const db = await openPoolDatabase(await poolDatabaseOptions(config));
  try {
    return await task({
      db,
      shares: new TenantsRepository(db),
      access: new TenantAccessRepository(db),
      clients: new ClientsRepository(db),
      removals: new TenantRemovalRepository(db),
      enrolment: () => Enrolment.open(new MembershipRepository(db), { life: config.pool.certificateLife }),
    });
  } finally {
    await db.destroy();
  }
}
