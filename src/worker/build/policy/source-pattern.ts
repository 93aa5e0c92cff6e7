import { RE2JS } from 're2js';
import { invalid, messageOf } from '#errors/errors.ts';
import type { SourceSelector } from './source-policy.ts';

/** Expressions are Go's, and take time that is linear in what is matched: a policy comes from any client. */
export function matchesExpression(expression: string, text: string): boolean {
  return compiled(expression).matcher(text).find();
}

export function matchesSource({ identifier, type }: SourceSelector, source: string): boolean {
  if (identifier === source) return true;
  switch (type) {
    case 'exact':
      return false;
    case 'regex':
      return matchesExpression(identifier, source);
    case 'wildcard':
      return matchesExpression(wildcardExpression(identifier), source);
  }
}

/** A template with what the selector matched in a source put in: `$1`, `${1}`, `$name`, `$$`, as Go's Regexp.Expand. */
export function formatSource({ identifier, type }: SourceSelector, source: string, template: string): string {
  if (type === 'exact') return template;
  const pattern = compiled(type === 'regex' ? identifier : wildcardExpression(identifier));
  const names = pattern.namedGroups();
  const matcher = pattern.matcher(source);
  let text = '';
  let end = 0;
  for (let found = false; matcher.find(); found = true) {
    // Nothing right behind what was found counts as part of it.
    if (found && matcher.end() === end) continue;
    const group = (name: string) => {
      const number = /^\d+$/.test(name) ? Number(name) : names[name];
      if (number === undefined || number > matcher.groupCount()) return '';
      return matcher.group(number) ?? '';
    };
    text += source.slice(end, matcher.start()) + expand(template, group);
    end = matcher.end();
  }
  // Where a name with a star in it is what was meant literally, nothing stands for the star.
  return text + source.slice(end);
}

function expand(template: string, group: (name: string) => string): string {
  return template.replaceAll(/\$(?:(\$)|(\w+)|\{(\w+)\})/g, (_, dollar, name, braced) =>
    dollar === undefined ? group(name ?? braced) : '$',
  );
}

function wildcardExpression(wildcard: string): string {
  if (wildcard.includes('**')) {
    const why = 'invalid wildcard: "**"';
    throw invalid(`failed to translate wildcard ${JSON.stringify(wildcard)} to regexp: ${why}`);
  }
  return `^${wildcard.split('*').map(RE2JS.quote).join('(.*)')}$`;
}

function compiled(expression: string): RE2JS {
  try {
    return RE2JS.compile(expression);
  } catch (cause) {
    throw invalid(`invalid regex ${JSON.stringify(expression.slice(0, 200))}: ${messageOf(cause)}`, {
      cause,
    });
  }
}
