/** One line of `tandem doctor`. */
export type Finding = {
  readonly level: 'ok' | 'warn' | 'fail';
  /** What was looked at, in a word: "interface", "key". */
  readonly check: string;
  readonly text: string;
  /** What to do; undefined when it is well. */
  readonly mend: string | undefined;
};

export function well(check: string, text: string): Finding {
  return { level: 'ok', check, text, mend: undefined };
}

/** Tandem runs, and not as well as it could. */
export function doubtful(check: string, text: string, mend: string): Finding {
  return { level: 'warn', check, text, mend };
}

/** Tandem does not run like this. */
export function failing(check: string, text: string, mend: string): Finding {
  return { level: 'fail', check, text, mend };
}
