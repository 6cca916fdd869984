/**
 * How long an established connection may be silent, in HAProxy's words. A byte that moves, either way, starts the time
 * anew for both sides. What counts then is who could move the next one: a side that has not taken all there is for it
 * holds up the other, of which nothing is expected meanwhile.
 */

/** Milliseconds; 0: for ever; undefined: what else would apply. */
export type InactivityLimits = {
  readonly clientMs: number;
  readonly serverMs: number;
  /** Instead of both, once bytes have come from both sides. */
  readonly tunnelMs: number | undefined;
  /** Instead of all that, once the server has ended its direction. */
  readonly clientFinMs: number | undefined;
  /** Likewise, once the client has. */
  readonly serverFinMs: number | undefined;
};

export type ConnectionSide = {
  /** FIN has come from it. */
  readonly readEnded: boolean;
  /** What it has not taken yet. */
  readonly unsent: Uint8Array | undefined;
  readonly receivedBytes: number;
};

/** Which side's time is over after a silence of `silentMs`, if any; of both, the one that was over first. */
export function timedOutSide(
  limits: InactivityLimits,
  client: ConnectionSide,
  server: ConnectionSide,
  silentMs: number,
): 'client' | 'server' | undefined {
  const hasTalked = client.receivedBytes > 0 && server.receivedBytes > 0;
  const tunnelMs = hasTalked ? limits.tunnelMs : undefined;
  const clientMs = limitOf(client, server, limits.clientFinMs, tunnelMs ?? limits.clientMs);
  const serverMs = limitOf(server, client, limits.serverFinMs, tunnelMs ?? limits.serverMs);
  if (silentMs < Math.min(clientMs, serverMs)) return undefined;
  return clientMs <= serverMs ? 'client' : 'server';
}

/** Infinity for a side that nothing is expected of. */
function limitOf(side: ConnectionSide, other: ConnectionSide, finMs: number | undefined, openMs: number): number {
  const isExpectedToTake = side.unsent !== undefined;
  const isExpectedToSend = !side.readEnded && other.unsent === undefined;
  if (!isExpectedToTake && !isExpectedToSend) return Infinity;
  const limitMs = other.readEnded ? (finMs ?? openMs) : openMs;
  return limitMs === 0 ? Infinity : limitMs;
}
