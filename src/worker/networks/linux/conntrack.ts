import { attribute, type NetlinkMessage } from './netlink-message.ts';

/** Connection tracking (nfnetlink_conntrack). */

const DELETE = (1 << 8) | 2;
const AF_INET = 2;
const UDP = 17;
const CTA = {
  TUPLE_ORIG: 1,
  TUPLE_PROTO: 2,
  PROTO_NUM: 1,
  PROTO_DST_PORT: 3,
  FILTER: 25,
  FILTER_ORIG_FLAGS: 1,
} as const;
const MATCH_PROTOCOL = 1 << 3;
const MATCH_DESTINATION_PORT = 1 << 5;

/** Forgets all UDP flows to a port: their next packets are looked at as if they were the first. */
export function forgetUdpFlows(port: number): NetlinkMessage {
  // struct nfgenmsg; version 1 makes the kernel heed the family.
  const header = Buffer.of(AF_INET, 1, 0, 0);
  const destination = Buffer.alloc(2);
  destination.writeUInt16BE(port);
  const protocol = [attribute(CTA.PROTO_NUM, Uint8Array.of(UDP)), attribute(CTA.PROTO_DST_PORT, destination)];
  const body = Buffer.concat([
    header,
    attribute(CTA.TUPLE_ORIG, [attribute(CTA.TUPLE_PROTO, protocol)]),
    attribute(CTA.FILTER, [attribute(CTA.FILTER_ORIG_FLAGS, MATCH_PROTOCOL | MATCH_DESTINATION_PORT)]),
  ]);
  return { type: DELETE, flags: 0, body };
}
