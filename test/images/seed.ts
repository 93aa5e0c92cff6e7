import { parseArgs } from 'node:util';
import { type ImageName, imageNames } from './catalog.ts';
import { seedImages } from './stand-ins.ts';

// node test/images/seed.ts [--registry 127.0.0.1:5000] [NAME …]: puts stand-ins for well-known images into a
// registry, all of them when none is named.

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { registry: { type: 'string', default: '127.0.0.1:5000' } },
});
const unknown = positionals.find((name) => !imageNames.includes(name as ImageName));
if (unknown !== undefined) {
  console.error(`there is no stand-in '${unknown}', only ${imageNames.join(', ')}`);
  process.exit(2);
}
const names = positionals.length > 0 ? (positionals as ImageName[]) : imageNames;
for (const name of names) {
  await seedImages(values.registry, [name]);
  console.log(`${values.registry}/library/${name}`);
}
