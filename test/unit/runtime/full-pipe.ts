import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { onTestFinished } from 'vitest';

/** Makes a pipe that is full, and answers its reader, who does not read until the test is over. */
export function makeFullPipe(path: string): number {
  execFileSync('mkfifo', [path]);
  const reading = openSync(path, 'r+');
  const writing = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  onTestFinished(() => [reading, writing].forEach(closeSync));
  try {
    for (;;) writeSync(writing, Buffer.alloc(4_096));
  } catch {
    return reading;
  }
}
