import { pino } from 'pino';

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

/** A logger that is told later on what is worth writing. */
export type AdjustableLogger = Logger & { setLevel(level: LogLevel): void };

/** JSON lines on standard output, or on another descriptor. Writes are buffered in memory, never awaited. */
export function createLogger(options: { level: LogLevel; fields?: LogFields; descriptor?: number }): AdjustableLogger {
  const destination = pino.destination({ fd: options.descriptor ?? 1, sync: false, minLength: 0 });
  // A reader that went away (a closed pipe, a full disk) must not end a load balancer.
  destination.on('error', () => undefined);
  const root = pino(
    { level: options.level, base: options.fields ?? {}, timestamp: pino.stdTimeFunctions.isoTime },
    destination,
  );
  return {
    ...wrap(root),
    setLevel: (level) => {
      root.level = level;
    },
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
