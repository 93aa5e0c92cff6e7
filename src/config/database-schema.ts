import { z } from 'zod';
import { duration } from './quantity.ts';

const postgresSchema = z.strictObject({
  url: z
    .string()
    .regex(/^postgres(ql)?:\/\//, 'expected a URL such as postgres://slipway@db.example.com/slipway')
    .nullable(),
  urlFile: z.string().startsWith('/', 'expected an absolute path').nullable(),
  maxConnections: z.int().min(2).max(1000),
  connectTimeout: duration,
  statementTimeout: duration,
});

/** The settings below `registry.database`. */
export const databaseSchema = z
  .strictObject({ driver: z.enum(['sqlite', 'postgres']), postgres: postgresSchema })
  .superRefine(({ driver, postgres }, context) => {
    if (driver !== 'postgres' || (postgres.url === null) !== (postgres.urlFile === null)) return;
    context.addIssue({
      code: 'custom',
      path: ['postgres', 'url'],
      message: 'expected either url or urlFile',
    });
  });
