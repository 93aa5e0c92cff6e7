import { invalid } from '#errors/errors.ts';

/**
 * What the claims of a token have to be: for each claim the patterns of which one must match. In a pattern `*` stands
 * for any characters, as in `repo:acme/*:ref:refs/heads/main`.
 */
export type ClaimRules = Readonly<Record<string, readonly string[]>>;

const MAX_RULES = 20;
const MAX_PATTERNS = 50;
const MAX_LENGTH = 300;

/**
 * Reads rules as people write them. Throws `invalid`, also for rules that everybody with an account at the issuer
 * could meet: at the large ones that is everybody.
 */
export function parseClaimRules(value: Readonly<Record<string, string | readonly string[]>>): ClaimRules {
  const rules = Object.entries(value).map(([claim, patterns]) => {
    const list = typeof patterns === 'string' ? [patterns] : patterns;
    const sound = list.every((it) => it !== '' && it.length <= MAX_LENGTH);
    if (!/^[\w:./-]{1,100}$/.test(claim) || list.length === 0 || list.length > MAX_PATTERNS || !sound) {
      throw invalid(`the rule for the claim ${JSON.stringify(claim.slice(0, 100))} is malformed`);
    }
    return [claim, list] as const;
  });
  const narrow = rules.some(([, patterns]) => patterns.every((it) => /[^*]/.test(it)));
  if (!narrow || rules.length > MAX_RULES) {
    throw invalid(
      `expected 1 to ${MAX_RULES} claims, one of them with a value: without one anybody could meet them`,
    );
  }
  return Object.fromEntries(rules);
}

/** Whether a token's claims are what the rules ask for. Of a claim that is a list, one item is enough. */
export function meets(claims: Readonly<Record<string, unknown>>, rules: ClaimRules): boolean {
  return Object.entries(rules).every(([claim, patterns]) => {
    const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
    const texts = (Array.isArray(value) ? value : [value]).filter(
      (it) => typeof it === 'string' || typeof it === 'number' || typeof it === 'boolean',
    );
    return texts.some((text) => patterns.some((pattern) => matches(pattern, String(text))));
  });
}

/** In time of their product at most. */
function matches(pattern: string, text: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  if (rest.length === 0) return text === pattern;
  const last = rest.pop()!;
  if (!text.startsWith(first)) return false;
  let from = first.length;
  for (const part of rest) {
    const at = text.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return text.length - last.length >= from && text.endsWith(last);
}
