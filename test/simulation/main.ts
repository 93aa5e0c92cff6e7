/**
 * `npm run simulate -- [--of jobs,placement] [--workers 1000] [--jobs-a-day 1000000] [--hours 1] [--warm-up 0.5]
 * [--policy slipway,random,least-loaded] [--seed 1]`
 */
import { parseArgs } from 'node:util';
import type { Policy } from './figures.ts';
import { simulatePlacement } from './place-work.ts';
import { simulate } from './simulate.ts';

const { values } = parseArgs({
  options: {
    of: { type: 'string', default: 'jobs,placement' },
    workers: { type: 'string', default: '1000' },
    slots: { type: 'string', default: '4' },
    'jobs-a-day': { type: 'string', default: '1000000' },
    hours: { type: 'string', default: '1' },
    'warm-up': { type: 'string', default: '0.5' },
    seed: { type: 'string', default: '1' },
    policy: { type: 'string', default: 'slipway,random,least-loaded' },
  },
});
const world = {
  workers: Number(values.workers),
  slots: Number(values.slots),
  jobsADay: Number(values['jobs-a-day']),
  hours: Number(values.hours),
  warmUp: Number(values['warm-up']),
  seed: Number(values.seed),
  tenants: 50,
  projects: 2_000,
  cacheSize: 40,
};
/** A day takes minutes: who waits sees how far it is. */
const tell = (policy: Policy) => (hours: number) => {
  const spent = (process.cpuUsage().user / 1e6).toFixed(0);
  if (world.hours > 1) console.error(`${policy}: ${hours} of ${world.hours} hours, ${spent} s of a core`);
};
const policies = values.policy.split(',') as Policy[];
const seconds = (value: number) => `${value.toFixed(1)} s`.padStart(8);
const percent = (value: number) => `${(value * 100).toFixed(1)}%`.padStart(7);
if (values.of.includes('jobs')) {
  console.log(
    'jobs              jobs  wait p50     p95     p99  turnaround p50     p95  cache in use  uneven  unfair   µs/job',
  );
  for (const policy of policies) {
    const { jobs, wait, turnaround, cacheHits, utilization, imbalance, unfairness, cost } = await simulate({
      ...world,
      policy,
      tell: tell(policy),
    });
    console.log(
      policy.padEnd(14) +
        jobs.toLocaleString('en').padStart(8) +
        `  ${seconds(wait.p50)}${seconds(wait.p95)}${seconds(wait.p99)}` +
        `        ${seconds(turnaround.p50)}${seconds(turnaround.p95)}` +
        `${percent(cacheHits)}${percent(utilization)}` +
        `${imbalance.toFixed(2).padStart(8)}${unfairness.toFixed(2).padStart(8)}${cost.toFixed(0).padStart(9)}`,
    );
  }
}
if (values.of.includes('placement')) {
  console.log(
    'placement       builds  wait p50     p95     p99  cache  containers  image there  uneven builds, containers  µs each',
  );
  for (const policy of policies) {
    const { builds, containers, wait, cacheHits, local, uneven, cost } = await simulatePlacement({
      ...world,
      policy,
      tell: tell(policy),
    });
    console.log(
      policy.padEnd(14) +
        builds.toLocaleString('en').padStart(8) +
        `  ${seconds(wait.p50)}${seconds(wait.p95)}${seconds(wait.p99)}` +
        percent(cacheHits) +
        `${containers.toLocaleString('en').padStart(11)} ${percent(local).padStart(13)}` +
        `${uneven.builds.toFixed(2).padStart(14)}${uneven.containers.toFixed(2).padStart(12)}` +
        cost.toFixed(0).padStart(9),
    );
  }
}
