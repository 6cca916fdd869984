import { pino } from 'pino';
import type { Clock } from './clock.ts';
import { LineWriter } from './line-writer.ts';

/**
 * Levels: `error` an operator must act; `warn` something degraded or was refused; `info` a change of state an operator
 * wants to see in a day's log; `debug` for people who read the code. Fields are structured, never interpolated; nothing
 * that came from the wire is logged at `info` or above, and no secret at all.
 */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

export type LogFields = Readonly<Record<string, unknown>>;

export type Logger = {
  error(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  debug(fields: LogFields, message: string): void;
  child(fields: LogFields): Logger;
};

/** The logger of a program. */
export type ProgramLogger = Logger & {
  /** What is worth writing from now on. */
  setLevel(level: LogLevel): void;
  /**
   * Resolves when all is written, or cannot be, after `timeoutMs` at the latest; to false if a write waits even then,
   * which keeps the program from ending in order.
   */
  close(timeoutMs: number): Promise<boolean>;
};

/** Of lines that wait for a reader that lags; some thousands. */
const pendingBytesMax = 1024 * 1024;
const warnLevel = 40;

/**
 * JSON lines on standard output, which is opened with the first. Writing never waits: a reader that went away, or does
 * not read, costs lines, and neither holds up the program nor keeps it from ending.
 */
export function createLogger(
  options: { readonly level: LogLevel; readonly fields?: LogFields },
  dependencies: { readonly clock: Clock },
): ProgramLogger {
  const { clock } = dependencies;
  const base = options.fields ?? {};
  const gapLine = (lines: number): string => {
    const time = new Date(clock.wallMs()).toISOString();
    return `${JSON.stringify({ level: warnLevel, time, ...base, droppedLines: lines, msg: 'log lines were lost' })}\n`;
  };
  let writer: LineWriter | undefined;
  const write = (line: string): void => {
    writer ??= new LineWriter({ destination: { descriptor: 1 }, pendingBytesMax, gapLine }, { clock });
    // It takes a character for each byte.
    writer.write(Buffer.from(line).toString('latin1'));
  };
  const root = pino({ level: options.level, base, timestamp: pino.stdTimeFunctions.isoTime }, { write });
  return {
    ...wrap(root),
    setLevel: (level) => {
      root.level = level;
    },
    close: (timeoutMs) => writer?.close(timeoutMs) ?? Promise.resolve(true),
  };
}

/** For tests and for processes that must not write: what is logged goes to the given function. */
export function createCallbackLogger(
  write: (level: LogLevel, fields: LogFields, message: string) => void,
  bound: LogFields = {},
): Logger {
  const at = (level: LogLevel) => (fields: LogFields, message: string) =>
    write(level, { ...bound, ...fields }, message);
  return {
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    debug: at('debug'),
    child: (fields) => createCallbackLogger(write, { ...bound, ...fields }),
  };
}

export const silentLogger: Logger = createCallbackLogger(() => undefined);

function wrap(target: pino.Logger): Logger {
  return {
    error: (fields, message) => target.error(fields, message),
    warn: (fields, message) => target.warn(fields, message),
    info: (fields, message) => target.info(fields, message),
    debug: (fields, message) => target.debug(fields, message),
    child: (fields) => wrap(target.child(fields)),
  };
}
