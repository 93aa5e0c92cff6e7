import { messageOf } from '#errors/errors.ts';
import { startSlipway } from '../e2e/harness/slipway.ts';
import { cosignBundles, cosignTags } from './cosign.ts';
import { crane } from './crane.ts';
import { helm } from './helm.ts';
import { install } from './install.ts';
import { oras } from './oras.ts';
import { regctl } from './regctl.ts';
import { createWorld, type Trip } from './world.ts';

// npm run clients [-- crane helm]: round trips of clients that the Go module proxy has, against a registry of their own.
// One line a client and step. The clients of Debian are in test/e2e/registry-clients.test.ts.

const trips: readonly Trip[] = [crane, regctl, oras, helm, cosignTags, cosignBundles];

const wanted = process.argv.slice(2);
const chosen = trips.filter(({ title }) => wanted.length === 0 || wanted.includes(title.split(' ')[0]!));
if (chosen.length === 0) {
  console.error(`usage: npm run clients [-- ${trips.map(({ title }) => title.split(' ')[0]).join(' | ')}]`);
  process.exit(2);
}

let good = true;
{
  await using slipway = await startSlipway({ command: 'registry' });
  for (const trip of chosen) good = (await travel(trip, slipway.registry, slipway.folder)) && good;
}
process.exit(good ? 0 : 1);

/** The steps of a trip build on each other: after one that failed the rest is not tried. */
async function travel({ title, clients, steps }: Trip, registry: string, folder: string): Promise<boolean> {
  const say = (step: string, result: string) =>
    console.log(`${title.padEnd(10)} ${step.padEnd(44)} ${result}`);
  try {
    for (const client of clients) await install(client);
  } catch (error) {
    say('install', `FAILED\n${messageOf(error)}`);
    return false;
  }
  const world = createWorld(registry, folder, title.replace(' ', '-'));
  for (const [step, task] of Object.entries(steps)) {
    try {
      await task(world);
      say(step, 'ok');
    } catch (error) {
      say(step, `FAILED\n${messageOf(error)}`);
      return false;
    }
  }
  return true;
}
