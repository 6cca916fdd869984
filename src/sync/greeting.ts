import type { ForeignHello, Hello, RefuseReason } from './message.ts';

/**
 * Why this node does not accept a hello, or undefined if it does. A different configuration is no reason: operators
 * change the file on one node after the other, and overrides and stick tables replicate meanwhile.
 */
export function refusalOf(hello: Hello | ForeignHello, self: string, peer: string): RefuseReason | undefined {
  if (hello.type === 'foreign-hello') return 'protocol-version';
  if (hello.node === self) return 'own-name';
  if (hello.node !== peer) return 'third-node';
  return hello.peer === self ? undefined : 'other-peer';
}
