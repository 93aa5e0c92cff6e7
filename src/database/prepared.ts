import type { Compilable, CompiledQuery, QueryResult } from 'kysely';

/** Runs a query that was compiled once. */
export type PreparedQuery<Parameters, Row> = (parameters: Parameters) => Promise<Row[]>;

/** Stands for a parameter until its value is known. */
class Placeholder {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/**
 * Compiles a query for many runs: building and compiling costs several times what SQLite needs for an indexed
 * lookup. `build` gets a function that stands in for each parameter.
 */
export function prepare<Parameters extends object, Row>(
  db: { executeQuery<R>(query: CompiledQuery<R>): Promise<QueryResult<R>> },
  build: (parameter: <K extends keyof Parameters & string>(name: K) => Parameters[K]) => Compilable<Row>,
): PreparedQuery<Parameters, Row> {
  const compiled = build(<K extends string>(name: K) => new Placeholder(name) as never).compile();
  return async (parameters) => {
    const query: CompiledQuery<Row> = {
      ...compiled,
      parameters: compiled.parameters.map((it) => fill(it, parameters)),
    };
    return (await db.executeQuery(query)).rows;
  };
}

function fill(value: unknown, parameters: object): unknown {
  return value instanceof Placeholder ? parameters[value.name as keyof typeof parameters] : value;
}
