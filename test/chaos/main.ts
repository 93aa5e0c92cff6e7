/** `npm run chaos -- [--minutes 5] [--gateways 2] [--workers 3] [--every 400] [--seed N]` */
import { parseArgs } from 'node:util';
import { startS3Server } from '../s3/s3-server.ts';
import { chaos } from './chaos.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    gateways: { type: 'string', default: '2' },
    workers: { type: 'string', default: '3' },
    every: { type: 'string', default: '400' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => interrupted.abort(new Error(`ended by ${signal}`)));
await using s3 = await startS3Server();
const began = performance.now();
const { problems, ...result } = await chaos({
  seconds: Number(values.minutes) * 60,
  gateways: Number(values.gateways),
  workers: Number(values.workers),
  every: Number(values.every),
  seed: Number(values.seed),
  s3: s3.access,
  signal: interrupted.signal,
  tell: (line) => console.log(`${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  ${line}`),
});
console.log(JSON.stringify(result, undefined, 2));
for (const problem of problems.slice(0, 100)) console.error(problem);
console.log(
  problems.length === 0 ? 'nothing is lost, nothing was done twice' : `${problems.length} problems`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
