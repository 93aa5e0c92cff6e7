import { createHash } from 'node:crypto';
import type { Compilable, CompiledQuery, QueryResult } from 'kysely';

/** Runs a query that was compiled once; inside a transaction, which is handed in then. */
export type PreparedQuery<Parameters, Row> = (parameters: Parameters, on?: Executor) => Promise<Row[]>;

interface Executor {
  executeQuery<R>(query: CompiledQuery<R>): Promise<QueryResult<R>>;
}

interface NamedQuery<Row> extends CompiledQuery<Row> {
  readonly statementName: string;
  readonly relaxed: boolean;
}

/** Stands for a parameter until its value is known. */
class Placeholder {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/**
 * Compiles a query for many runs: building and compiling costs several times what an indexed lookup does.
 * `build` gets a function that stands in for each parameter. On PostgreSQL it becomes a prepared statement of each
 * connection, so there must not be a new one for each request. A `relaxed` write outside a transaction survives the
 * process, and a power cut perhaps not: for what nobody was promised.
 */
export function prepare<Parameters extends object, Row>(
  db: Executor,
  build: (parameter: <K extends keyof Parameters & string>(name: K) => Parameters[K]) => Compilable<Row>,
  { relaxed = false }: { relaxed?: boolean } = {},
): PreparedQuery<Parameters, Row> {
  const compiled = build(<K extends string>(name: K) => new Placeholder(name) as never).compile();
  const name = nameOf(compiled.sql);
  return async (parameters, on = db) => {
    const query: NamedQuery<Row> = {
      ...compiled,
      parameters: compiled.parameters.map((it) => fill(it, parameters)),
      statementName: name,
      relaxed,
    };
    return (await on.executeQuery<Row>(query)).rows;
  };
}

/** The name of a query that is to be prepared on the server. */
export function statementName(query: CompiledQuery): string | undefined {
  return (query as Partial<NamedQuery<unknown>>).statementName;
}

/** Whether a write need not wait for the disk. */
export function isRelaxed(query: CompiledQuery): boolean {
  return (query as Partial<NamedQuery<unknown>>).relaxed ?? false;
}

/** From its text: the same name for two queries would be an error. */
function nameOf(sql: string): string {
  return `slipway_${createHash('sha256').update(sql).digest('hex').slice(0, 24)}`;
}

function fill(value: unknown, parameters: object): unknown {
  return value instanceof Placeholder ? parameters[value.name as keyof typeof parameters] : value;
}
