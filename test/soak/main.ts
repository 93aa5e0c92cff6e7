/** `npm run soak -- gc [--minutes 3] [--database sqlite|postgres] [--storage filesystem|s3] [--processes 1] [--pushers 6]` */
import { parseArgs } from 'node:util';
import { PostgresServer } from '#test/database/postgres-server.ts';
import { startS3Server } from '#test/s3/s3-server.ts';
import { s3Settings } from '#test/s3/shared-s3.ts';
import { soak } from './gc/soak.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string', default: '3' },
    database: { type: 'string', default: 'sqlite' },
    storage: { type: 'string', default: 'filesystem' },
    processes: { type: 'string', default: '1' },
    pushers: { type: 'string', default: '6' },
  },
});
if (positionals[0] !== 'gc') throw new Error('which one? There is: gc');

await using stack = new AsyncDisposableStack();
const server = values.database === 'postgres' ? stack.use(await PostgresServer.start()) : undefined;
const s3 = values.storage === 's3' ? stack.use(await startS3Server()) : undefined;
const result = await soak({
  seconds: Number(values.minutes) * 60,
  processes: Number(values.processes),
  pushers: Number(values.pushers),
  postgres: await server?.createDatabase(),
  s3: s3 && s3Settings(s3.access),
});
const { problems, ...rest } = result;
console.log(JSON.stringify(rest, undefined, 2));
for (const problem of problems.slice(0, 100)) console.error(problem);
console.log(problems.length === 0 ? 'nothing is lost, nothing is left' : `${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;
