/**
 * Prints a line of JSON on standard output. Resolves when the kernel has all of it: a program that exits right after
 * a long line would cut it off, since a parent's pipe takes only so much at a time.
 */
export function printJson(value: unknown): Promise<void> {
  return new Promise((resolve) => process.stdout.write(`${JSON.stringify(value)}\n`, () => resolve()));
}
