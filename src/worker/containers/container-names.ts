import { randomBytes, randomInt } from 'node:crypto';
import { invalid } from '#errors/errors.ts';

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** A name as its user gave it, with or without the leading slash. Throws `invalid`. */
export function parseContainerName(text: string): string {
  const name = text.replace(/^\//, '');
  if (!NAME.test(name)) {
    throw invalid(`Invalid container name (${text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  }
  return name;
}

/** 64 hex digits; never all decimal in its short form, which tools would take for a number. */
export function generateContainerId(): string {
  for (;;) {
    const id = randomBytes(32).toString('hex');
    if (!/^\d+$/.test(id.slice(0, 12))) return id;
  }
}

/** `adjective_noun`, with a digit from the second attempt on. */
export function generateContainerName(attempt: number): string {
  const name = `${pick(ADJECTIVES)}_${pick(NOUNS)}`;
  return attempt > 0 ? `${name}${randomInt(10)}` : name;
}

function pick(words: readonly string[]): string {
  return words[randomInt(words.length)]!;
}

const ADJECTIVES = [
  'able', 'agile', 'amber', 'ample', 'azure', 'bold', 'brave', 'breezy', 'bright', 'brisk', 'calm', 'candid', 'clear',
  'clever', 'coastal', 'cosy', 'crisp', 'curious', 'daring', 'deft', 'eager', 'early', 'fair', 'fearless', 'fine',
  'firm', 'fleet', 'fresh', 'gentle', 'glad', 'golden', 'grand', 'handy', 'hardy', 'honest', 'humble', 'jolly', 'keen',
  'kind', 'lively', 'loyal', 'lucid', 'lucky', 'mellow', 'merry', 'mighty', 'modest', 'neat', 'nimble', 'noble', 'open',
  'patient', 'plain', 'polar', 'proud', 'quick', 'quiet', 'ready', 'roving', 'salty', 'serene', 'sharp', 'silver',
  'sleek', 'smart', 'snug', 'solid', 'spry', 'steady', 'stout', 'sturdy', 'sunny', 'swift', 'tidal', 'tidy', 'trim',
  'trusty', 'upbeat', 'vivid', 'warm', 'wise', 'witty', 'zesty',
] as const; // biome-ignore format: one word after another

const NOUNS = [
  'anchor', 'barge', 'beacon', 'berth', 'bosun', 'bowline', 'brig', 'bulwark', 'buoy', 'canoe', 'capstan', 'catamaran',
  'clipper', 'compass', 'corvette', 'cutter', 'davit', 'dinghy', 'dock', 'dory', 'ferry', 'frigate', 'galleon',
  'galley', 'gangway', 'gunwale', 'halyard', 'harbour', 'hatch', 'hawser', 'helm', 'hull', 'jetty', 'jib', 'junk',
  'kayak', 'keel', 'ketch', 'lantern', 'launch', 'ledger', 'lighter', 'lugger', 'mainsail', 'mast', 'mooring', 'oar',
  'packet', 'pilot', 'pinnace', 'pontoon', 'porthole', 'prow', 'punt', 'quay', 'raft', 'rigging', 'rudder', 'sail',
  'schooner', 'scow', 'sextant', 'shallop', 'skiff', 'sloop', 'spar', 'spinnaker', 'sprit', 'stern', 'tender', 'tiller',
  'trawler', 'trimaran', 'tug', 'wharf', 'wherry', 'windlass', 'yacht', 'yawl',
] as const; // biome-ignore format: one word after another
