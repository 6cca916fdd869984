import type { Logger } from '../runtime/index.ts';
import type { EventLog, NodeEvent } from './events.ts';

/** Says what an operator has set at run time, on this node or on the peer. */
export type TellOverride = (message: string, fields: NodeEvent['fields']) => void;

/** To the events and the log: who took a server out, and when, is looked for long after the events are gone. */
export function createTellOverride(ports: { readonly logger: Logger; readonly events: EventLog }): TellOverride {
  return (message, fields) => {
    ports.logger.info(fields, `operator: ${message}`);
    ports.events.add('override', message, fields);
  };
}
