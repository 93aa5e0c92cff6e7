import { isIP } from 'node:net';
import { invalid } from '#errors/errors.ts';
import type { ClassicRequest, RegistryAuth } from '../build/classic/classic-request.ts';
import { listQuery, numberQuery, stringQuery } from './query.ts';
import type { EngineContext } from './router.ts';

/** A query parameter that is a JSON object; absent is an empty one. Throws `invalid`. */
export function jsonObject<T>(
  ctx: EngineContext,
  name: string,
  isValue: (value: unknown) => boolean,
): Record<string, T> {
  const value = json(ctx, name);
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value) || !Object.values(value).every(isValue)) {
    throw invalid(`error reading build ${name}: not an object of strings`);
  }
  return value as Record<string, T>;
}

/** A query parameter that is a JSON array of strings; absent is an empty one. Throws `invalid`. */
export function jsonStrings(ctx: EngineContext, name: string): string[] {
  const value = json(ctx, name) ?? [];
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
    throw invalid(`error reading build ${name}: not an array of strings`);
  }
  return value;
}

/** What a build's commands may use. Throws `invalid`. */
export function buildLimits(ctx: EngineContext): ClassicRequest['limits'] {
  const number = (name: string) => numberQuery(ctx, name) || undefined;
  const cpusetCpus = stringQuery(ctx, 'cpusetcpus');
  const cpusetMems = stringQuery(ctx, 'cpusetmems');
  const resources = defined({
    memory: number('memory'),
    memorySwap: number('memswap'),
    cpuShares: number('cpushares'),
    cpuPeriod: number('cpuperiod'),
    cpuQuota: number('cpuquota'),
    cpusetCpus: cpusetCpus || undefined,
    cpusetMems: cpusetMems || undefined,
  });
  return defined({
    shmSize: number('shmsize'),
    resources: Object.keys(resources).length > 0 ? resources : undefined,
    ulimits: ulimits(ctx),
    cgroupParent: stringQuery(ctx, 'cgroupparent') || undefined,
  });
}

/** `X-Registry-Config`: base64 JSON, credentials by registry. What cannot be read counts as none, as in the engine. */
export function registryAuth(ctx: EngineContext): RegistryAuth {
  const header = ctx.get('X-Registry-Config');
  if (header === '') return {};
  try {
    const value = JSON.parse(Buffer.from(header, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

/** `name:address` or `name=address`; the address may be `host-gateway`. Throws `invalid`. */
export function extraHosts(ctx: EngineContext): { host: string; ip: string }[] {
  const all = listQuery(ctx, 'extrahosts').flatMap((hosts) => hosts.split(','));
  return all.filter(Boolean).map((text) => {
    const [, host = '', ip = ''] = /^([^:=]+)[:=]\[?(.*?)\]?$/s.exec(text) ?? [];
    if (host === '') throw invalid(`bad format for add-host: ${JSON.stringify(text)}`);
    if (ip !== 'host-gateway' && isIP(ip) === 0) {
      throw invalid(`invalid IP address in add-host: ${JSON.stringify(ip)}`);
    }
    return { host, ip };
  });
}

/** Where the result goes: `[{"Type":"local","Attrs":{…}}]`. Throws `invalid`. */
export function buildOutputs(
  ctx: EngineContext,
): { readonly type: string; readonly attrs: Record<string, string> }[] {
  const value = json(ctx, 'outputs') ?? [];
  if (!Array.isArray(value)) throw invalid('error reading build outputs: not an array');
  return value.map((entry) => {
    const { Type: type, Attrs } = entry ?? {};
    const attrs = Attrs ?? {};
    const strings = typeof attrs === 'object' && Object.values(attrs).every((one) => typeof one === 'string');
    if (typeof type !== 'string' || type === '' || !strings) {
      throw invalid('error reading build outputs: Type and Attrs, an object of strings, are needed');
    }
    return { type, attrs };
  });
}

function ulimits(ctx: EngineContext): ClassicRequest['limits']['ulimits'] {
  const value = json(ctx, 'ulimits');
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) throw invalid('error reading ulimit settings: not an array');
  return value.map((entry) => {
    const { Name: name, Soft: soft, Hard: hard } = entry ?? {};
    if (typeof name !== 'string' || !Number.isInteger(soft) || !Number.isInteger(hard)) {
      throw invalid('error reading ulimit settings: Name, Soft and Hard are needed');
    }
    return { name, soft, hard };
  });
}

function json(ctx: EngineContext, name: string): unknown {
  const text = stringQuery(ctx, name);
  if (!text) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(`error reading build ${name}: invalid JSON`, { cause });
  }
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function defined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as Defined<T>;
}
