/** `npm run simulate -- [--workers 1000] [--jobs-a-day 1000000] [--hours 1] [--warm-up 0.5] [--policy slipway,random,least-loaded] [--seed 1]` */
import { parseArgs } from 'node:util';
import { type Policy, simulate } from './simulate.ts';

const { values } = parseArgs({
  options: {
    workers: { type: 'string', default: '1000' },
    slots: { type: 'string', default: '4' },
    'jobs-a-day': { type: 'string', default: '1000000' },
    hours: { type: 'string', default: '1' },
    'warm-up': { type: 'string', default: '0.5' },
    seed: { type: 'string', default: '1' },
    policy: { type: 'string', default: 'slipway,random,least-loaded' },
  },
});
console.log(
  'policy            jobs  wait p50     p95     p99  turnaround p50     p95  cache  in use  uneven  unfair   µs/job',
);
for (const policy of values.policy.split(',') as Policy[]) {
  const result = await simulate({
    policy,
    workers: Number(values.workers),
    slots: Number(values.slots),
    jobsADay: Number(values['jobs-a-day']),
    hours: Number(values.hours),
    warmUp: Number(values['warm-up']),
    seed: Number(values.seed),
    tenants: 50,
    projects: 2_000,
    cacheSize: 40,
  });
  const { jobs, wait, turnaround, cacheHits, utilization, imbalance, unfairness, cost } = result;
  const seconds = (value: number) => `${value.toFixed(1)} s`.padStart(8);
  console.log(
    policy.padEnd(14) +
      jobs.toLocaleString('en').padStart(8) +
      `  ${seconds(wait.p50)}${seconds(wait.p95)}${seconds(wait.p99)}` +
      `        ${seconds(turnaround.p50)}${seconds(turnaround.p95)}` +
      `${(cacheHits * 100).toFixed(1).padStart(6)}%${(utilization * 100).toFixed(1).padStart(7)}%` +
      `${imbalance.toFixed(2).padStart(8)}${unfairness.toFixed(2).padStart(8)}${cost.toFixed(0).padStart(9)}`,
  );
}
