import { addressBytes } from '../ip/address.ts';

/** The little of the DNS protocol (RFC 1035) that answering for containers takes. */

export const RECORD = { A: 1, PTR: 12, AAAA: 28 } as const;
export const RCODE = { NOERROR: 0, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4 } as const;

const HEADER = 12;
const CLASS_IN = 1;
/** What a datagram may carry without EDNS. */
const MAX_DATAGRAM = 512;
const TRUNCATED = 0x0200;

export interface Question {
  /** Lower case, without the last dot. */
  readonly name: string;
  readonly type: number;
  /** Header and question as they were asked, to begin an answer with. */
  readonly head: Buffer;
}

/** Undefined for what is no single question. */
export function parseQuestion(message: Buffer): Question | undefined {
  if (message.length < HEADER || message.readUInt16BE(4) !== 1) return undefined;
  const flags = message.readUInt16BE(2);
  const [isAnswer, opcode] = [(flags & 0x8000) !== 0, (flags >> 11) & 0xf];
  if (isAnswer || opcode !== 0) return undefined;
  const labels: string[] = [];
  let offset = HEADER;
  for (;;) {
    const length = message[offset];
    if (length === undefined || length > 63 || offset > HEADER + 255) return undefined;
    offset++;
    if (length === 0) break;
    labels.push(message.toString('latin1', offset, offset + length));
    offset += length;
  }
  if (offset + 4 > message.length || message.readUInt16BE(offset + 2) !== CLASS_IN) return undefined;
  const head = Buffer.from(message.subarray(0, offset + 4));
  return { name: labels.join('.').toLowerCase(), type: message.readUInt16BE(offset), head };
}

export interface Answer {
  readonly rcode: number;
  /** Addresses for A and AAAA, names for PTR. */
  readonly values?: readonly string[];
  readonly ttl?: number;
}

/** An answer as a message; one that is too long for a datagram says that it was cut off. */
export function formatAnswer(question: Question, answer: Answer, transport: 'udp' | 'tcp'): Buffer {
  const records = (answer.values ?? []).map((value) => formatRecord(question.type, value, answer.ttl ?? 0));
  const size = question.head.length + records.reduce((sum, record) => sum + record.length, 0);
  const truncated = transport === 'udp' && size > MAX_DATAGRAM;
  const head = Buffer.from(question.head);
  const recursionDesired = head.readUInt16BE(2) & 0x0100;
  // A response, recursion available.
  head.writeUInt16BE(0x8080 | recursionDesired | (truncated ? TRUNCATED : 0) | answer.rcode, 2);
  head.writeUInt16BE(truncated ? 0 : records.length, 6);
  head.writeUInt16BE(0, 8);
  head.writeUInt16BE(0, 10);
  return truncated ? head : Buffer.concat([head, ...records]);
}

/** Its name is the question's, by a pointer to it. */
function formatRecord(type: number, value: string, ttl: number): Buffer {
  const data = type === RECORD.PTR ? formatName(value) : Buffer.from(addressBytes(value));
  const record = Buffer.alloc(12);
  record.writeUInt16BE(0xc000 | HEADER, 0);
  record.writeUInt16BE(type, 2);
  record.writeUInt16BE(CLASS_IN, 4);
  record.writeUInt32BE(ttl, 6);
  record.writeUInt16BE(data.length, 10);
  return Buffer.concat([record, data]);
}

function formatName(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.from(label.slice(0, 63), 'latin1'));
  return Buffer.concat([...labels.flatMap((label) => [Buffer.of(label.length), label]), Buffer.of(0)]);
}

/** The address that a reverse question is about; undefined for other names. */
export function reverseAddress(name: string): string | undefined {
  const ipv4 = /^((?:\d{1,3}\.){3}\d{1,3})\.in-addr\.arpa$/.exec(name)?.[1];
  return ipv4?.split('.').reverse().join('.');
}
