import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { answerFrom } from '#worker/networks/dns/answer.ts';
import { formatAnswer, parseQuestion, RECORD } from '#worker/networks/dns/dns-message.ts';
import { formatHosts, parseExtraHost } from '#worker/networks/dns/hosts-file.ts';
import { containerResolvConf, parseResolvConf } from '#worker/networks/dns/resolv-conf.ts';
import { TcpFrames, tcpFrame } from '#worker/networks/dns/tcp-frames.ts';

function query(name: string, type: number): Buffer {
  const labels = name.split('.').flatMap((label) => [Buffer.of(label.length), Buffer.from(label)]);
  const head = Buffer.from('123401000001000000000000', 'hex');
  return Buffer.concat([head, ...labels, Buffer.of(0, 0, type, 0, 1)]);
}

describe('DNS messages', () => {
  test('a question is read and answered', () => {
    const question = parseQuestion(query('Web.App', RECORD.A));
    expect(question).toMatchObject({ name: 'web.app', type: RECORD.A });
    const answer = formatAnswer(question!, { rcode: 0, values: ['10.0.0.2'], ttl: 5 }, 'udp');
    expect(answer.toString('hex')).toBe(
      '1234' +
        '8180' +
        '0001000100000000' +
        '0357656203417070' +
        '0000010001' +
        'c00c00010001000000050004' +
        '0a000002',
    );
  });

  test('an answer that is too long for a datagram is cut off and says so', () => {
    const question = parseQuestion(query('all', RECORD.A))!;
    const values = Array.from({ length: 60 }, (_, index) => `10.0.0.${index}`);
    const datagram = formatAnswer(question, { rcode: 0, values }, 'udp');
    expect(datagram.readUInt16BE(2) & 0x0200).toBe(0x0200);
    expect(datagram.length).toBeLessThan(512);
    expect(formatAnswer(question, { rcode: 0, values }, 'tcp').readUInt16BE(6)).toBe(60);
  });

  test('nothing that comes in breaks the reader', () => {
    const valid = query('web', RECORD.A);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => void parseQuestion(Buffer.from(bytes))),
    );
    fc.assert(
      fc.property(fc.nat(valid.length - 1), fc.nat(255), (at, byte) => {
        const changed = Buffer.from(valid);
        changed[at] = byte;
        parseQuestion(changed);
      }),
    );
    for (let length = 0; length < valid.length; length++) {
      expect(parseQuestion(valid.subarray(0, length))).toBeUndefined();
    }
  });

  test('messages on a stream arrive whole, however they were cut', () => {
    const messages = [query('a', 1), query('b.c', 28), Buffer.alloc(0)];
    const stream = Buffer.concat(messages.map(tcpFrame));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 40, maxLength: 60 }), (sizes) => {
        const frames = new TcpFrames();
        const seen: Buffer[] = [];
        let at = 0;
        for (const size of [...sizes, stream.length]) {
          seen.push(...frames.push(stream.subarray(at, at + size)));
          at += size;
        }
        expect(seen.map(String)).toEqual(messages.map(String));
      }),
    );
  });
});

describe('what a zone says', () => {
  const zone = {
    lookup: (name: string) => (name === 'web' ? ['10.0.0.2', 'fd00::2'] : undefined),
    reverse: (address: string) => (address === '10.0.0.2' ? 'web.app' : undefined),
    upstreams: async () => [],
  };
  const ask = (name: string, type: number) => answerFrom(zone, { name, type, head: Buffer.alloc(0) });

  test('addresses by family, nothing of other kinds, and what is for others', () => {
    expect(ask('web', RECORD.A)).toMatchObject({ rcode: 0, values: ['10.0.0.2'] });
    expect(ask('web', RECORD.AAAA)).toMatchObject({ rcode: 0, values: ['fd00::2'] });
    expect(ask('web', 15)).toMatchObject({ rcode: 0, values: [] });
    expect(ask('2.0.0.10.in-addr.arpa', RECORD.PTR)).toMatchObject({ values: ['web.app'] });
    expect(ask('nobody', RECORD.A)).toEqual({ rcode: 3 });
    expect(ask('example.com', RECORD.A)).toBeUndefined();
    expect(ask('9.0.0.10.in-addr.arpa', RECORD.PTR)).toBeUndefined();
  });
});

describe('resolv.conf', () => {
  const nothing = { dns: [], search: [], options: [], extraHosts: [] };
  const host = parseResolvConf(
    '# c\nnameserver 127.0.0.53\nnameserver 192.0.2.1 ; x\nsearch a b\noptions edns0\n',
  );

  test('servers on the host loopback mean something else inside', () => {
    expect(containerResolvConf(host, nothing, 'direct')).toBe(
      'nameserver 192.0.2.1\nsearch a b\noptions edns0\n',
    );
    const loopback = parseResolvConf('nameserver 127.0.0.1\nnameserver ::1\n');
    expect(containerResolvConf(loopback, nothing, 'direct')).toBe('nameserver 8.8.8.8\nnameserver 8.8.4.4\n');
    expect(containerResolvConf(loopback, nothing, 'host')).toBe('nameserver 127.0.0.1\nnameserver ::1\n');
  });

  test('what was asked for takes the place of the host', () => {
    const asked = { ...nothing, dns: ['198.51.100.1'], search: ['.'], options: ['ndots:2'] };
    expect(containerResolvConf(host, asked, 'direct')).toBe('nameserver 198.51.100.1\noptions ndots:2\n');
    expect(containerResolvConf(host, asked, 'embedded')).toBe('nameserver 127.0.0.11\noptions ndots:2\n');
    expect(containerResolvConf(host, nothing, 'embedded')).toBe(
      'nameserver 127.0.0.11\nsearch a b\noptions edns0 ndots:0\n',
    );
  });
});

describe('/etc/hosts', () => {
  test('extra hosts, also by IPv6 and of the host itself', () => {
    expect(parseExtraHost('db:10.0.0.9', '172.17.0.1')).toEqual({ address: '10.0.0.9', names: ['db'] });
    expect(parseExtraHost('db:[fd00::9]', '')).toEqual({ address: 'fd00::9', names: ['db'] });
    expect(parseExtraHost('db:fd00::9', '')).toEqual({ address: 'fd00::9', names: ['db'] });
    expect(parseExtraHost('me:host-gateway', '172.17.0.1')).toEqual({ address: '172.17.0.1', names: ['me'] });
    for (const text of ['', 'db', ':10.0.0.1', 'db:'])
      expect(() => parseExtraHost(text, '')).toThrow('bad format');
    expect(formatHosts([{ address: '10.0.0.2', names: ['a', 'b'] }])).toMatch(
      /^127.0.0.1\tlocalhost\n(.*\n)*10.0.0.2\ta b\n$/,
    );
  });
});
