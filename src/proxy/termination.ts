/** Why and when a connection has ended: a named cause, and the two characters that HAProxy's tcplog has for it. */
import type { DialRefusal, RefusalReason } from './worker-protocol.ts';

/**
 * choosing: waits for the answer to a stick claim; queued: waits for a server that has room; connecting: the server has
 * not answered yet; relaying: bytes flow; closed: both descriptors are gone.
 */
export type Phase = 'choosing' | 'queued' | 'connecting' | 'relaying' | 'closed';

export type EndCause =
  /** Both sides have ended their direction. */
  | 'completed'
  /** The client reset, or its kernel has given it up. */
  | 'client-reset'
  | 'server-reset'
  /** The client neither sent nor took a byte for too long. */
  | 'client-timeout'
  | 'server-timeout'
  /** The client reset before it had a server. */
  | 'client-gone'
  /** The last of the servers that were tried did not answer in time. */
  | 'connect-timeout'
  /** This node no longer holds the service's address. */
  | 'handed-over'
  /** Its server went down, and the service has `onMarkedDown: shutdownSessions`. */
  | 'server-down'
  /** Its server is in drain or maintenance, or was removed, and the service has a `drainTime`. */
  | 'drained'
  /** Its server was removed, and the operator wanted its connections closed. */
  | 'server-removed'
  /** This process has ended. */
  | 'stopped'
  | DialRefusal;

/** Who or what ended it, as in HAProxy: client, server, a limit of time (lower case), resources, an operator (K). */
const causeLetters: Readonly<Record<EndCause, string>> = {
  completed: '-',
  'client-reset': 'C',
  'server-reset': 'S',
  'client-timeout': 'c',
  'server-timeout': 's',
  'client-gone': 'C',
  'connect-timeout': 's',
  'handed-over': 'K',
  'server-down': 'D',
  drained: 'K',
  'server-removed': 'K',
  stopped: 'K',
  'no-server': 'S',
  'connect-failed': 'S',
  'no-descriptor': 'R',
  'queue-full': 'S',
  'queue-timeout': 's',
};

/** What it was doing: connecting to a server, or transferring data. */
const phaseLetters: Readonly<Record<Exclude<Phase, 'closed'>, string>> = {
  choosing: 'C',
  queued: 'Q',
  connecting: 'C',
  relaying: 'D',
};

const doorLetters: readonly (readonly [readonly RefusalReason[], string])[] = [
  [['proxy-cut', 'tls-cut'], 'C'],
  [['proxy-timeout', 'tls-timeout'], 'c'],
  [['too-many-silent', 'no-descriptor'], 'R'],
];

export const endCauses = Object.keys(causeLetters) as readonly EndCause[];

/** "--", "CD", "sC": of a connection that ended for this cause while it was in this phase. */
export function terminationCode(cause: EndCause, phase: Exclude<Phase, 'closed'>): string {
  return cause === 'completed' ? '--' : `${causeLetters[cause]}${phaseLetters[phase]}`;
}

/** Of a client that was sent away at the door: by the proxy ("P") unless it is here, and while it was still asking. */
export function refusalCode(reason: RefusalReason): string {
  const [, doorLetter = 'P'] = doorLetters.find(([reasons]) => reasons.includes(reason)) ?? [];
  return `${doorLetter}R`;
}
