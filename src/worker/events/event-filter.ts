import type { EngineEvent } from './event-publisher.ts';

type Filters = ReadonlyMap<string, readonly string[]>;

const OBJECTS = ['container', 'image', 'network', 'volume', 'plugin', 'daemon', 'builder'] as const;

/** `docker events --filter`: values of one name are alternatives, except for labels, which all must fit. */
export function eventFilter(filters: Filters): (event: EngineEvent) => boolean {
  const tests = [...filters]
    .filter(([, values]) => values.length > 0)
    .map(([name, values]) => testOf(name, values));
  return (event) => tests.every((test) => test(event));
}

function testOf(name: string, values: readonly string[]): (event: EngineEvent) => boolean {
  switch (name) {
    case 'type':
      return ({ type }) => values.includes(type);
    case 'event':
      // `exec_start` also means `exec_start: sh -c …`, `health_status` `health_status: healthy`.
      return ({ action }) => values.some((value) => action === value || action.startsWith(`${value}:`));
    case 'label':
      return ({ actor }) => values.every((value) => hasLabel(actor.attributes, value));
    case 'scope':
      return () => values.includes('local');
    case 'image':
      return (event) => values.some((value) => isOfImage(event, value));
    default: {
      const type = OBJECTS.find((object) => object === name);
      return (event) =>
        type !== undefined && event.type === type && values.some((value) => names(event, value));
    }
  }
}

function hasLabel(attributes: Readonly<Record<string, string>>, text: string): boolean {
  const [name = '', ...value] = text.split('=');
  return name in attributes && (value.length === 0 || attributes[name] === value.join('='));
}

function names({ actor }: EngineEvent, value: string): boolean {
  return (
    actor.id === value || actor.attributes.name === value || (value.length >= 4 && actor.id.startsWith(value))
  );
}

function isOfImage({ type, actor }: EngineEvent, value: string): boolean {
  const stripTag = (name: string) => name.replace(/(?<=[^/]):[^/:]+$/, '');
  const candidates = type === 'image' ? [actor.id, actor.attributes.name] : [actor.attributes.image];
  return candidates.some((name) => name !== undefined && (name === value || stripTag(name) === value));
}
