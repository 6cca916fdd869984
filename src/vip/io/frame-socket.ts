import { errno, errnoName, OperatorError } from '../../runtime/index.ts';
import type { Native } from '../../runtime/index.ts';

export type PacketCalls = Pick<Native, 'packetOpen' | 'send' | 'close'>;

/** A packet socket that sends whole Ethernet frames, and follows its interface when that is made anew. */
export class FrameSocket {
  readonly #native: PacketCalls;
  #socket: { readonly descriptor: number; readonly interfaceIndex: number } | undefined;

  constructor(dependencies: { native: PacketCalls }) {
    this.#native = dependencies.native;
  }

  /** Opens it now, not when it matters. Throws OperatorError `NET_RAW_MISSING`, `PACKET_SOCKET_REFUSED`. */
  open(interfaceIndex: number): void {
    const refusal = this.#open(interfaceIndex);
    if (refusal !== undefined) throw packetSocketRefused(refusal);
  }

  /** Hands the frame to the interface; undefined, or a negative errno when it did not take it. */
  send(interfaceIndex: number, frame: Uint8Array): number | undefined {
    const refusal = this.#open(interfaceIndex);
    if (refusal !== undefined || this.#socket === undefined) return refusal;
    const taken = this.#native.send(this.#socket.descriptor, frame, 0, frame.length);
    return taken < 0 ? taken : undefined;
  }

  close(): void {
    if (this.#socket !== undefined) this.#native.close(this.#socket.descriptor);
    this.#socket = undefined;
  }

  /** Makes sure that the socket is one of this interface; a negative errno if the kernel refuses it. */
  #open(interfaceIndex: number): number | undefined {
    if (this.#socket?.interfaceIndex === interfaceIndex) return undefined;
    this.close();
    const descriptor = this.#native.packetOpen(interfaceIndex);
    if (descriptor < 0) return descriptor;
    this.#socket = { descriptor, interfaceIndex };
    return undefined;
  }
}

function packetSocketRefused(refusal: number): OperatorError {
  if (refusal === errno.notPermitted || refusal === errno.accessDenied) {
    return new OperatorError(
      'NET_RAW_MISSING',
      'no permission to announce addresses',
      'run as root or grant CAP_NET_RAW (docker run --cap-add NET_RAW; AmbientCapabilities= in systemd)',
    );
  }
  return new OperatorError('PACKET_SOCKET_REFUSED', `no packet socket: ${errnoName(refusal)}`, "see the kernel's log");
}
