import { pino } from 'pino';
import type { Clock } from './clock.ts';
import { LineWriter } from './line-writer.ts';
import type { LogFields } from './logger.ts';

/** Records for programs to read, such as an access log: JSON lines with a type, without level. Writing never waits. */
export type RecordLog = {
  /** Fields that are undefined are left out. */
  write(fields: LogFields): void;
  /** Records that were lost because the destination took none for too long. */
  readonly droppedRecords: number;
  /** Why the destination takes nothing now, an errno's name. */
  readonly trouble: string | undefined;
  /** Resolves when all is written, or cannot be, after `timeoutMs` at the latest. */
  close(timeoutMs: number): Promise<void>;
};

/** Bounds the memory for a destination that takes nothing: some 3,000 records of an access log. */
const pendingBytesMax = 1024 * 1024;

/** To a file, which may be moved away at any time and is then made anew, or to standard output. */
export function createRecordLog(
  type: string,
  destination: { readonly file: string } | 'stdout',
  dependencies: { readonly clock: Clock },
): RecordLog {
  const writer = new LineWriter(
    {
      destination: destination === 'stdout' ? { descriptor: 1 } : destination.file,
      pendingBytesMax,
      gapLine: (droppedRecords) => `${JSON.stringify({ type: 'gap', droppedRecords })}\n`,
    },
    dependencies,
  );
  const format = pino({ base: null, timestamp: false, formatters: { level: () => ({ type }) } }, writer);
  return {
    write: (fields) => format.info(fields),
    get droppedRecords() {
      return writer.droppedLines;
    },
    get trouble() {
      return writer.trouble;
    },
    async close(timeoutMs) {
      await writer.close(timeoutMs);
    },
  };
}
