/** Rows with their columns below each other, as Go's text/tabwriter sets them; the last column is not padded. */
export function formatTable(rows: readonly (readonly string[])[], padding: number): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    rows.reduce((width, row) => Math.max(width, widthOf(row[column]!)), 0),
  );
  const lines = rows.map((row) =>
    row
      .map((cell, column) =>
        column === row.length - 1 ? cell : cell + ' '.repeat(widths[column]! - widthOf(cell) + padding),
      )
      .join(''),
  );
  return lines.map((line) => `${line}\n`).join('');
}

function widthOf(text: string): number {
  return [...text].length;
}
