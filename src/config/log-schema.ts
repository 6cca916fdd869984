/** Where the access log goes. */

import * as z from 'zod';
import { absolutePath, hints } from './fields.ts';

const about = 'Where a record of each connection goes when it has ended: nowhere, to standard output, or to a file.';

export const accessLog = z
  .union([z.enum(['off', 'stdout']), absolutePath(about, '/var/log/tandem-access.log')])
  .describe(about)
  .register(hints, { expected: 'off, stdout or an absolute path', example: '/var/log/tandem-access.log' });
