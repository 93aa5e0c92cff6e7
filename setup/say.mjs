/** One line to whoever set this off. */
export function say(/** @type {string} */ message) {
  process.stderr.write(`setup: ${message}\n`);
}

/** Ends with a line that says what to do. @returns {never} */
export function fail(/** @type {string} */ message) {
  say(message);
  process.exit(1);
}
