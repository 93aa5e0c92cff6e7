import { createServer, type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { isKind } from '#errors/errors.ts';
import { errorResponse } from '#worker/http/errors.ts';

/** Whose request it is: the server that answers it, which itself does not listen. Throws what the client is told. */
export type Dispatch = (req: IncomingMessage) => Server | Promise<Server>;

/** A server, not yet listening, that hands each request to the server of whom it is for. */
export function createDispatchServer(dispatch: Dispatch, log: Logger): Server {
  const server = createServer({ requestTimeout: 0, headersTimeout: 30_000, keepAliveTimeout: 60_000 });
  const told = (error: unknown) => {
    const { message, ...answer } = errorResponse(error, 'none', log);
    // Whoever asks several leaves this one out.
    const status = isKind(error, 'unavailable') ? 503 : answer.status;
    const body = JSON.stringify({ message });
    const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
    return { status, headers: { ...headers, ...(status === 401 && CHALLENGE) }, body };
  };
  server.on('request', (req, res) => {
    const refuse = (error: unknown) => {
      const { status, headers, body } = told(error);
      // What the client still sends is for nobody.
      res.writeHead(status, { ...headers, Connection: 'close' }).end(body);
      req.resume();
    };
    handOver(dispatch, req, (to) => to.emit('request', req, res), refuse);
  });
  server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    const refuse = (error: unknown) => {
      const { status, headers, body } = told(error);
      const lines = Object.entries({ ...headers, Connection: 'close' }).map(
        ([key, value]) => `${key}: ${value}`,
      );
      socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('\r\n')}\r\n\r\n${body}`);
    };
    handOver(dispatch, req, (to) => to.emit('upgrade', req, socket, head), refuse);
  });
  return server;
}

const CHALLENGE = { 'WWW-Authenticate': 'Basic realm="slipway", charset="UTF-8"' };

/** At once where that can be: most requests need nothing to be looked up. */
function handOver(
  dispatch: Dispatch,
  req: IncomingMessage,
  give: (to: Server) => void,
  refuse: (error: unknown) => void,
): void {
  try {
    const to = dispatch(req);
    if (to instanceof Promise) to.then(give).catch(refuse);
    else give(to);
  } catch (error) {
    refuse(error);
  }
}
