import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseChallenges } from '#distribution/challenge.ts';

const read = (header: string) =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

describe('a WWW-Authenticate header', () => {
  it.each([
    [
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
      [
        [
          'bearer',
          {
            realm: 'https://auth.docker.io/token',
            service: 'registry.docker.io',
            scope: 'repository:a/b:pull,push',
          },
        ],
      ],
    ],
    ['Basic realm="a \\"quoted\\" realm"', [['basic', { realm: 'a "quoted" realm' }]]],
    ['BEARER Realm=x , SERVICE = y', [['bearer', { realm: 'x', service: 'y' }]]],
    [
      'Negotiate, Bearer realm="r",scope="s", Basic realm="b"',
      [
        ['negotiate', {}],
        ['bearer', { realm: 'r', scope: 's' }],
        ['basic', { realm: 'b' }],
      ],
    ],
    ['Basic', [['basic', {}]]],
    ['', []],
    ['=,=', []],
  ])('%s', (header, expected) => expect(read(header)).toEqual(expected));

  it('never throws, and never takes long', () => {
    fc.assert(fc.property(fc.string({ maxLength: 300 }), (header) => void parseChallenges(header)));
    const nasty = fc.array(fc.constantFrom('a', '=', '"', '\\', ',', ' ', 'Bearer', 'realm="'), {
      maxLength: 200,
    });
    fc.assert(fc.property(nasty, (parts) => void parseChallenges(parts.join(''))));
  });
});
