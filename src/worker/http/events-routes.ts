import { once } from 'node:events';
import { invalid } from '#errors/errors.ts';
import { parseMoment } from '../containers/list/moment.ts';
import type { EventBus, StampedEvent } from '../events/event-bus.ts';
import { eventFilter } from '../events/event-filter.ts';
import { filtersQuery, stringQuery } from './query.ts';
import { requestSignal } from './request-signal.ts';
import type { EngineRouter } from './router.ts';

/** `GET /events`: one JSON object after another, without end unless `until` is given. */
export function eventsRoutes(router: EngineRouter, services: { events: EventBus }): void {
  router.get('/events', async (ctx) => {
    const since = stringQuery(ctx, 'since');
    const until = stringQuery(ctx, 'until');
    const signal = requestSignal(ctx);
    if (since && until && parseMoment(since) > parseMoment(until)) {
      throw invalid(`\`since\` time (${since}) cannot be after \`until\` time (${until})`);
    }
    const events = services.events.subscribe({
      ...(since && { since: parseMoment(since) }),
      ...(until && { until: parseMoment(until) }),
      matches: eventFilter(filtersQuery(ctx)),
      signal,
    });
    ctx.respond = false;
    ctx.res.statusCode = 200;
    ctx.res.setHeader('Content-Type', 'application/json');
    ctx.res.flushHeaders();
    for await (const event of events) {
      if (!ctx.res.write(`${JSON.stringify(eventShape(event))}\n`)) {
        await once(ctx.res, 'drain', { signal }).catch(() => undefined);
      }
    }
    ctx.res.end();
  });
}

/** With the fields of old (`status`, `id`, `from`) that clients without a version still read. */
export function eventShape({ type, action, actor, timeNano }: StampedEvent): object {
  const { image } = actor.attributes;
  return {
    ...((type === 'container' || type === 'image') && { status: action, id: actor.id }),
    ...(type === 'container' && image !== undefined && { from: image }),
    Type: type,
    Action: action,
    Actor: { ID: actor.id, Attributes: actor.attributes },
    scope: 'local',
    time: Math.floor(timeNano / 1e9),
    timeNano,
  };
}
