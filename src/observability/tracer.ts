export type Attributes = Readonly<Record<string, string | number | boolean>>;

/** The part of a trace that is under way. */
export interface Span {
  /** Of the trace, as logs name it; undefined when nothing is recorded. */
  readonly traceId: string | undefined;
  set(attributes: Attributes): void;
  fail(error: unknown): void;
}

/** Records what a request led to, across processes (W3C Trace Context). Calls nest by what awaits what. */
export interface Tracer {
  /** Runs what a request asks for. Its headers may say which trace it belongs to. */
  request<T>(
    name: string,
    headers: Readonly<Record<string, string | string[] | undefined>>,
    task: (span: Span) => Promise<T>,
  ): Promise<T>;

  /** Runs a part of what is under way; alone, it begins a trace. What it throws is recorded and thrown on. */
  span<T>(name: string, attributes: Attributes, task: () => Promise<T>): Promise<T>;

  /** Records a part that has just ended and took this many milliseconds. Of no request, it is not recorded. */
  ended(name: string, milliseconds: number, attributes: Attributes): void;

  /** The headers that make a request to someone else a part of what is under way. */
  headers(): Record<string, string>;
}

const NO_SPAN: Span = { traceId: undefined, set() {}, fail() {} };

/** Nothing is recorded, and nothing costs anything. */
export const NO_TRACER: Tracer = {
  request: (_name, _headers, task) => task(NO_SPAN),
  span: (_name, _attributes, task) => task(),
  ended() {},
  headers: () => ({}),
};
