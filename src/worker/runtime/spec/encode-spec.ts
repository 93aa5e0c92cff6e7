import type { OciSpec } from './oci-spec.ts';
import { UNLIMITED } from './rlimits.ts';

const rawJson = (JSON as unknown as { rawJSON(text: string): object }).rawJSON;
const MAX_UINT64 = rawJson('18446744073709551615');

/** The text of a `config.json` or of an exec's process file. */
export function encodeSpec(spec: OciSpec | OciSpec['process']): string {
  return JSON.stringify(spec, (_, value) => (value === UNLIMITED ? MAX_UINT64 : value));
}
