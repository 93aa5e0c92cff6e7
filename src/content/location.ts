import { invalid } from '#errors/errors.ts';

const SEGMENT = /^[a-zA-Z0-9._-]{1,200}$/;
const MAX_SEGMENTS = 8;

/** The segments of a location. Throws `invalid` for what could leave a driver's root or upset its storage. */
export function locationSegments(location: string): string[] {
  const segments = location.split('/');
  const ok = segments.length <= MAX_SEGMENTS && segments.every(isSegment);
  if (!ok) throw invalid(`invalid content location ${JSON.stringify(location.slice(0, 200))}`);
  return segments;
}

function isSegment(segment: string): boolean {
  return SEGMENT.test(segment) && segment !== '.' && segment !== '..';
}
