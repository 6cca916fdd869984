/** What is kept on disk, and where. */

import * as z from 'zod';
import { absolutePath, duration, hints, section } from './fields.ts';

const second = 1_000;

const kept = section(
  'Where this node keeps what shall outlive it.',
  {
    directory: absolutePath(
      'Directory of the files `<node>.*.state`; made if it is missing.',
      '/var/lib/tandem',
    ).prefault('/var/lib/tandem'),
    stickInterval: duration(
      'How often stick tables are written, if they have changed; all else is written at once.',
      { minMs: second, maxMs: 86_400 * second },
      '1m',
    ).prefault('1m'),
  },
  '{directory: /var/lib/tandem}',
);

export const state = z
  .union([z.literal(false), kept])
  .describe('What is kept on disk: overrides, added servers, epochs and stick tables; `false` switches it off.')
  .register(hints, { expected: 'a mapping or false', example: '{directory: /var/lib/tandem}' })
  .prefault({});

export type StateConfig = { readonly directory: string; readonly stickIntervalMs: number };

export function stateOf(file: z.output<typeof state>): StateConfig | undefined {
  return file === false ? undefined : { directory: file.directory, stickIntervalMs: file.stickInterval };
}
