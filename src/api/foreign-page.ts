import { forbidden } from '#errors/errors.ts';

/**
 * A browser says which page made it send a request. One of another origin has no business here, whatever it sends: a
 * server without authentication trusts whoever reaches its address, and a browser on the same machine does.
 */
export function refuseForeignPage(request: { method: string; origin: string; host: string }): void {
  const { method, origin, host } = request;
  if (origin === '' || method === 'GET' || method === 'HEAD') return;
  const from = URL.canParse(origin) ? new URL(origin).host : undefined;
  if (from !== host) throw forbidden('requests of pages elsewhere are refused', { code: 'forbidden' });
}
