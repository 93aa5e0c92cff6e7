import { expect, it } from 'vitest';
import { StepFeed } from '#worker/build/classic/step-feed.ts';

const MIB = 1024 * 1024;
const vertex = (digest: string, completed = false) => ({
  digest,
  inputs: [],
  name: digest,
  cached: false,
  started: new Date(),
  ...(completed && { completed: new Date() }),
});

async function shown(feed: StepFeed, digest: string): Promise<string> {
  let text = '';
  for await (const { data } of feed.output(digest)) text += Buffer.from(data).toString();
  return text;
}

const write = (feed: StepFeed, digest: string, data: string | Buffer) =>
  feed.log({ vertex: digest, stream: 'stdout', data: Buffer.from(data), timestamp: new Date() });

it('a step is shown while it runs, to its end', async () => {
  const feed = new StepFeed();
  feed.vertex(vertex('a'));
  await write(feed, 'a', 'first ');
  const showing = shown(feed, 'a');
  await write(feed, 'a', 'second');
  feed.vertex(vertex('a', true));
  expect(await showing).toBe('first second');
});

it('what waits for its turn is bounded, and says where it was cut', async () => {
  const feed = new StepFeed();
  for (let step = 0; step < 20; step++) {
    feed.vertex(vertex(`${step}`));
    await write(feed, `${step}`, Buffer.alloc(2 * MIB - 1, 'x'));
    feed.vertex(vertex(`${step}`, true));
  }
  await write(feed, '19', 'after the cut');
  expect((await shown(feed, '15')).length).toBe(2 * MIB - 1);
  expect(await shown(feed, '19')).toBe('\n[output clipped, too much is waiting to be shown]\n');
});
