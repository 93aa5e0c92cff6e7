import type { EngineEvent } from '../events/event-publisher.ts';
import type { Container } from './container.ts';

/** Something that happened to a container; its labels, image and name go along, as `docker events` shows them. */
export function containerEvent(
  container: Container,
  action: string,
  attributes: Readonly<Record<string, string>> = {},
): EngineEvent {
  const { config, name } = container.record;
  return {
    type: 'container',
    action,
    actor: { id: container.id, attributes: { ...config.Labels, image: config.Image, name, ...attributes } },
  };
}
