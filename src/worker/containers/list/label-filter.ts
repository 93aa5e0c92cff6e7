/** Whether an object has all of these labels: `name` or `name=value`. */
export function matchesLabels(labels: Readonly<Record<string, string>>, wanted: readonly string[]): boolean {
  return wanted.every((text) => {
    const equals = text.indexOf('=');
    if (equals < 0) return text in labels;
    return labels[text.slice(0, equals)] === text.slice(equals + 1);
  });
}
