import { createHash } from 'node:crypto';
import type { Compilable, CompiledQuery, DatabaseConnection, QueryResult } from 'kysely';
import { directConnection } from './direct-connection.ts';

/** Runs a query that was compiled once; inside a transaction, which is handed in then. */
export type PreparedQuery<Parameters, Row> = (parameters: Parameters, on?: Executor) => Promise<Row[]>;

interface Executor {
  readonly isTransaction: boolean;
  executeQuery<R>(query: CompiledQuery<R>): Promise<QueryResult<R>>;
  getExecutor(): {
    readonly adapter: object;
    provideConnection<T>(consumer: (connection: DatabaseConnection) => Promise<T>): Promise<T>;
  };
}

/** Answers queries that only read, at once and with what is committed. */
export interface DirectReads {
  rows<R>(query: CompiledQuery<R>): R[];
}

/** A dialect's adapter that says where prepared reads go that belong to no transaction. */
export interface AdapterWithReads {
  readonly reads?: DirectReads | undefined;
}

interface NamedQuery<Row> extends CompiledQuery<Row> {
  readonly statementName: string;
  readonly relaxed: boolean;
  readonly reads: boolean;
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
  build: (parameter: Parameter<Parameters>) => Compilable<Row>,
  { relaxed = false }: { relaxed?: boolean } = {},
): PreparedQuery<Parameters, Row> {
  const template = templateOf(build, relaxed);
  return async (parameters, on = db) => (await run(on, filled(template, parameters))).rows;
}

/** A parameter of a statement, by its name. */
export type Parameter<Parameters> = <K extends keyof Parameters & string>(name: K) => Parameters[K];

/**
 * The same for functions that get their database or transaction with each call: what `build` makes of the first one
 * that comes of each dialect serves all of that dialect.
 */
export function statement<Db extends Executor, Parameters extends object, Row = never>(
  build: (db: Db, parameter: Parameter<Parameters>) => Compilable<Row>,
): (db: Db, parameters: Parameters) => Promise<QueryResult<Row>> {
  const templates = new Map<unknown, NamedQuery<Row>>();
  return async (db, parameters) => {
    const dialect = db.getExecutor().adapter.constructor;
    let template = templates.get(dialect);
    if (!template) {
      template = templateOf<Parameters, Row>((parameter) => build(db, parameter), false);
      templates.set(dialect, template);
    }
    return await run(db, filled(template, parameters));
  };
}

/** By the shortest way that there is: building and compiling is not all that takes longer than an indexed lookup. */
async function run<Row>(db: Executor, query: NamedQuery<Row>): Promise<QueryResult<Row>> {
  const executor = db.getExecutor();
  if (db.isTransaction) {
    const connection = await directConnection(executor);
    if (connection) return connection.runNow(query);
  } else if (query.reads) {
    const { reads } = executor.adapter as AdapterWithReads;
    if (reads) return { rows: reads.rows(query) };
  }
  return await db.executeQuery(query);
}

/** A statement for each number of things that it can be about: `build` gets how many. Up to 16 or so. */
export function bySize<S>(build: (count: number) => S): (count: number) => S {
  const built: S[] = [];
  return (count) => {
    built[count] ??= build(count);
    return built[count];
  };
}

function templateOf<Parameters extends object, Row>(
  build: (parameter: Parameter<Parameters>) => Compilable<Row>,
  relaxed: boolean,
): NamedQuery<Row> {
  const compiled = build(<K extends string>(name: K) => new Placeholder(name) as never).compile();
  const reads = /^select\b/i.test(compiled.sql);
  return { ...compiled, statementName: nameOf(compiled.sql), relaxed, reads };
}

function filled<Row>(template: NamedQuery<Row>, parameters: object): NamedQuery<Row> {
  return { ...template, parameters: template.parameters.map((it) => fill(it, parameters)) };
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
