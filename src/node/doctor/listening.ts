/** Who listens on this host, from the text of /proc/net/tcp or tcp6: nothing is bound to find out. */
import { endianness } from 'node:os';
import { formatIp, fromHex } from '../../base/index.ts';

export type Listener = { readonly address: string; readonly port: number };

/** TCP_LISTEN in the kernel's include/net/tcp_states.h. */
const listenState = '0A';

/** `sl local_address rem_address st …`; addresses are 32-bit numbers in the machine's byte order. */
export function readListeners(text: string, isLittleEndian = endianness() === 'LE'): readonly Listener[] {
  return text.split('\n').flatMap((line) => {
    const [, local = '', , state] = line.trim().split(/\s+/);
    const [, address, port] = /^([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})$/.exec(local) ?? [];
    if (state !== listenState || address === undefined || port === undefined) return [];
    const words = address.match(/.{8}/g) ?? [];
    const bytes = words.flatMap((word) => (isLittleEndian ? [...fromHex(word)].reverse() : [...fromHex(word)]));
    return [{ address: formatIp(Uint8Array.from(bytes)), port: Number.parseInt(port, 16) }];
  });
}

/** Whether the port is taken for this address: by a listener on it or on every address of its family. */
export function isTaken(listeners: readonly Listener[], { address, port }: Listener): boolean {
  const wildcards = address.includes(':') ? ['::'] : ['0.0.0.0', '::'];
  const isWildcard = wildcards.includes(address);
  return listeners.some(
    (listener) =>
      listener.port === port && (isWildcard || listener.address === address || wildcards.includes(listener.address)),
  );
}
