export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string | number | boolean | null | undefined;
}

/** Where a command says what it found: as text for people, or as JSON for programs. */
export class Output {
  readonly #json: boolean;
  readonly #write: (text: string) => void;

  constructor(options: { json: boolean; write: (text: string) => void }) {
    this.#json = options.json;
    this.#write = options.write;
  }

  /** Rows as a table, or as a list in JSON. */
  table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): void {
    if (this.#json) this.#write(`${JSON.stringify(rows, undefined, 2)}\n`);
    else this.#write(renderTable(rows, columns));
  }

  /** One result: a line of text, or a value in JSON. */
  result(text: string, value: unknown): void {
    this.#write(this.#json ? `${JSON.stringify(value, undefined, 2)}\n` : `${text}\n`);
  }
}

/** Columns as wide as their widest value, two spaces between them; no value breaks the lines. */
function renderTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const cells = rows.map((row) => columns.map(({ value }) => printable(value(row))));
  const lines = [columns.map(({ title }) => title), ...cells];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => line[index]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, index) => cell.padEnd(widths[index]!))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** What others wrote must not be able to move the cursor of a terminal. */
function printable(value: string | number | boolean | null | undefined): string {
  if (value === null || value === undefined || value === '') return '-';
  return String(value).replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?');
}
