/** What is wrong, and what to do about it. */
export type Flaw = { readonly what: string; readonly mend: string };

/** What the file system refused, as a sentence. `mendAbsent` is what to do when there is no such file. */
export function explainFileError(error: unknown, mendAbsent: string): Flaw {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return { what: 'there is no such file', mend: mendAbsent };
    case 'EACCES':
    case 'EPERM':
      return { what: 'it may not be read', mend: 'give it to the user that runs Tandem (chown), root included' };
    case 'EISDIR':
      return { what: 'it is a directory', mend: 'name a file in it' };
    default:
      return { what: `it cannot be read (${code})`, mend: 'check the path and the file system' };
  }
}
