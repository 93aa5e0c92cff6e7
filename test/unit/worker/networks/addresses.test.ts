import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addressBytes, addressToNumber, numberToAddress } from '#worker/networks/ip/address.ts';
import { AddressLeases } from '#worker/networks/ip/address-leases.ts';
import { addressAt, contains, formatSubnet, overlaps, parseSubnet } from '#worker/networks/ip/subnet.ts';
import { chooseSubnet, DEFAULT_ADDRESS_POOLS } from '#worker/networks/ip/subnet-choice.ts';

describe('addresses', () => {
  test.each([
    ['127.0.0.1', '7f000001'],
    ['::1', '00000000000000000000000000000001'],
    ['fe80::1:2', 'fe800000000000000000000000010002'],
    ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
  ])('%s has the bytes %s', (address, hex) => {
    expect(Buffer.from(addressBytes(address)).toString('hex')).toBe(hex);
  });

  test('numbers and addresses are two forms of one thing', () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        const again = numberToAddress(addressToNumber(address), 6);
        expect(addressToNumber(again)).toBe(addressToNumber(address));
        expect(new URL(`http://[${again}]`).hostname).toBe(`[${again}]`);
      }),
    );
    fc.assert(fc.property(fc.ipV4(), (address) => numberToAddress(addressToNumber(address), 4) === address));
  });

  test.each(['', 'x', '1.2.3', '1.2.3.4/8', '::g'])('%j is none', (text) => {
    expect(() => addressBytes(text)).toThrow('invalid IP address');
  });
});

describe('subnets', () => {
  test('host bits are cut off', () => {
    expect(formatSubnet(parseSubnet('172.17.3.4/16'))).toBe('172.17.0.0/16');
    expect(formatSubnet(parseSubnet('fd00::1/64'))).toBe('fd00::/64');
  });

  test.each(['172.17.0.0', '172.17.0.0/33', '172.17.0.0/x', '172.17.0.0/16/1', '/16'])(
    '%j is none',
    (text) => {
      expect(() => parseSubnet(text)).toThrow();
    },
  );

  test('overlap and containment', () => {
    const [big, small] = [parseSubnet('10.0.0.0/8'), parseSubnet('10.3.0.0/24')];
    expect([overlaps(big, small), overlaps(small, big)]).toEqual([true, true]);
    expect(overlaps(small, parseSubnet('10.3.1.0/24'))).toBe(false);
    expect(overlaps(big, parseSubnet('::/0'))).toBe(false);
    expect([contains(small, '10.3.0.255'), contains(small, '10.3.1.0'), contains(small, '::1')]).toEqual([
      true,
      false,
      false,
    ]);
    expect(addressAt(small, 1n)).toBe('10.3.0.1');
  });

  test('the first free block of the pools is taken', () => {
    const taken = [parseSubnet('172.18.0.0/16'), parseSubnet('172.19.128.0/24')];
    expect(formatSubnet(chooseSubnet(DEFAULT_ADDRESS_POOLS, taken))).toBe('172.20.0.0/16');
    const allBig = parseSubnet('172.16.0.0/12');
    expect(formatSubnet(chooseSubnet(DEFAULT_ADDRESS_POOLS, [allBig]))).toBe('192.168.0.0/20');
    expect(() => chooseSubnet([{ base: '10.0.0.0/24', size: 24 }], [parseSubnet('10.0.0.0/8')])).toThrow(
      'all predefined address pools have been fully subnetted',
    );
  });
});

describe('leases of addresses', () => {
  test('go round, so that one given back rests', () => {
    const leases = new AddressLeases(parseSubnet('10.0.0.0/29'), ['10.0.0.1']);
    expect([leases.take(), leases.take()]).toEqual(['10.0.0.2', '10.0.0.3']);
    leases.release('10.0.0.2');
    expect([leases.take(), leases.take(), leases.take(), leases.take()]).toEqual([
      '10.0.0.4',
      '10.0.0.5',
      '10.0.0.6',
      '10.0.0.2',
    ]);
    expect(() => leases.take()).toThrow('no available addresses');
    leases.release('10.0.0.5');
    expect(leases.take()).toBe('10.0.0.5');
  });

  test('no address has two holders, whatever the order', () => {
    const step = fc.oneof(
      fc.constant('take'),
      fc.nat(20).map((index) => index),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const leases = new AddressLeases(parseSubnet('10.0.0.0/28'), ['10.0.0.1']);
        const held: string[] = [];
        for (const what of steps) {
          if (what !== 'take') {
            const [given] = held.splice(Number(what), 1);
            if (given) leases.release(given);
          } else if (held.length < 13) {
            const address = leases.take();
            expect(held).not.toContain(address);
            expect(['10.0.0.0', '10.0.0.1', '10.0.0.15']).not.toContain(address);
            held.push(address);
          } else expect(() => leases.take()).toThrow();
        }
      }),
    );
  });

  test('a range narrows what is handed out, not what may be asked for', () => {
    const leases = new AddressLeases(parseSubnet('10.0.0.0/24'), ['10.0.0.1'], parseSubnet('10.0.0.64/30'));
    expect(leases.takeExactly('10.0.0.9')).toBe('10.0.0.9');
    expect([leases.take(), leases.take(), leases.take(), leases.take()]).toEqual([
      '10.0.0.64',
      '10.0.0.65',
      '10.0.0.66',
      '10.0.0.67',
    ]);
    expect(() => leases.take()).toThrow();
    expect(() => leases.takeExactly('10.0.0.9')).toThrow('Address already in use');
    expect(() => leases.takeExactly('10.0.1.9')).toThrow("does not belong to any of this network's subnets");
  });

  test('what an earlier process gave out is restored', () => {
    const leases = new AddressLeases(parseSubnet('10.0.0.0/24'), ['10.0.0.1']);
    leases.restore('10.0.0.7');
    expect(leases.take()).toBe('10.0.0.8');
    expect(() => leases.takeExactly('10.0.0.7')).toThrow('in use');
  });
});
