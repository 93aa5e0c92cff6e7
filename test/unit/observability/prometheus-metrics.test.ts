import { expect, it } from 'vitest';
import { PrometheusMetrics } from '#observability/prometheus-metrics.ts';

const linesOf = async (metrics: PrometheusMetrics) => (await metrics.text()).split('\n').filter(Boolean);

it('counts by labels', async () => {
  const metrics = new PrometheusMetrics({ process: false });
  const counter = metrics.counter({ name: 'things_total', help: 'Things.', labels: ['kind', 'size'] });
  counter.add({ kind: 'a', size: 'l' });
  counter.add({ size: 'l', kind: 'a' }, 2);
  counter.add({ kind: 'al', size: '' });
  expect(await linesOf(metrics)).toEqual([
    '# HELP things_total Things.',
    '# TYPE things_total counter',
    'things_total{kind="a",size="l"} 3',
    'things_total{kind="al",size=""} 1',
  ]);
});

it('has what has no labels from the start', async () => {
  const metrics = new PrometheusMetrics({ process: false });
  metrics.counter({ name: 'none_total', help: 'None yet.' });
  metrics.histogram({ name: 'none_seconds', help: 'None yet.', buckets: [1] });
  expect(await linesOf(metrics)).toEqual(
    expect.arrayContaining(['none_total 0', 'none_seconds_bucket{le="+Inf"} 0', 'none_seconds_count 0']),
  );
});

it('counts values into every bucket that they are not above', async () => {
  const metrics = new PrometheusMetrics({ process: false });
  const options = { name: 'took_seconds', help: 'How long.', labels: ['what'] as const, buckets: [0.25, 1] };
  const histogram = metrics.histogram(options);
  for (const value of [0.125, 0.25, 0.5, 1, 8]) histogram.observe({ what: 'x' }, value);
  expect(await linesOf(metrics)).toEqual([
    '# HELP took_seconds How long.',
    '# TYPE took_seconds histogram',
    'took_seconds_bucket{le="0.25",what="x"} 2',
    'took_seconds_bucket{le="1",what="x"} 4',
    'took_seconds_bucket{le="+Inf",what="x"} 5',
    'took_seconds_sum{what="x"} 9.875',
    'took_seconds_count{what="x"} 5',
  ]);
});
