/**
 * Something that an operator can mend: bad config, a missing privilege, a port in use. Printed as one line without a
 * stack trace; `code` is stable and what programs test for.
 */
export class OperatorError extends Error {
  readonly code: string;
  readonly mend: string;

  constructor(code: string, what: string, mend: string, options?: ErrorOptions) {
    super(what, options);
    this.name = 'OperatorError';
    this.code = code;
    this.mend = mend;
  }

  /** The one line: what is wrong and how to mend it. */
  get line(): string {
    return `${this.message}; ${this.mend}`;
  }
}
