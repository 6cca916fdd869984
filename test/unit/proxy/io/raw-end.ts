/**
 * One end of a connection without anything between it and the kernel: what is sent, read, ended or reset, and when, is
 * exactly what the test says. Nothing is read before `read` or `readAll`.
 */
import { onTestFinished } from 'vitest';
import { errno, errnoName } from '../../../../src/runtime/index.ts';
import { closeWithReset, readDelivery } from '../../../../src/proxy/io/socket-options.ts';
import { localPort, native, ownAddress, turn, until } from './harness.ts';

/** What came until the end, and which end: "fin", or the name of the error. */
export type Received = { readonly bytes: Buffer; readonly ending: string };

export class RawEnd {
  readonly fd: number;
  #isClosed = false;

  constructor(fd: number) {
    if (fd < 0) throw new Error(errnoName(fd));
    this.fd = fd;
    onTestFinished(() => this.close());
  }

  static async connect(port: number): Promise<RawEnd> {
    const end = new RawEnd(native.tcpConnect(ownAddress, port, undefined, 0));
    // Sending nothing fails with EAGAIN until the connection stands.
    await until(() => native.send(end.fd, Buffer.alloc(0), 0, 0) === 0);
    return end;
  }

  /** Sends all of it, however long that takes. */
  async send(bytes: Buffer): Promise<void> {
    for (let offset = 0; offset < bytes.length;) {
      const sent = this.trySend(bytes.subarray(offset));
      if (sent === 0) await turn();
      offset += sent;
    }
  }

  /** Bytes that the kernel takes at once. */
  trySend(bytes: Buffer): number {
    const sent = native.send(this.fd, bytes, 0, bytes.length);
    if (sent === errno.again) return 0;
    if (sent < 0) throw new Error(errnoName(sent));
    return sent;
  }

  /** Sends until nothing is taken any more. */
  async fill(): Promise<void> {
    const piece = Buffer.alloc(64 * 1024);
    for (let refused = 0; refused < 50;) {
      if (this.trySend(piece) > 0) refused = 0;
      else refused++;
      await turn();
    }
  }

  /** All that was sent is in the other kernel's hands. */
  async confirmed(): Promise<void> {
    await until(() => readDelivery(native, this.fd).isAllConfirmed);
  }

  /** So many bytes. */
  async read(length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    for (let offset = 0; offset < length;) {
      const result = native.receive(this.fd, bytes, offset, length - offset);
      if (result > 0) offset += result;
      else if (result === errno.again) await turn();
      else throw new Error(`after ${offset} bytes: ${endingOf(result)}`);
    }
    return bytes;
  }

  /** All there is until the end. */
  async readAll(): Promise<Received> {
    const pieces: Buffer[] = [];
    const buffer = Buffer.alloc(64 * 1024);
    for (;;) {
      const result = native.receive(this.fd, buffer, 0, buffer.length);
      if (result > 0) pieces.push(Buffer.from(buffer.subarray(0, result)));
      else if (result === errno.again) await turn();
      else return { bytes: Buffer.concat(pieces), ending: endingOf(result) };
    }
  }

  fin(): void {
    native.shutdownWrite(this.fd);
  }

  rst(): void {
    if (!this.#isClosed) closeWithReset(native, this.fd);
    this.#isClosed = true;
  }

  /** As a program does that ends: with what is unread, the kernel makes a RST of it. */
  close(): void {
    if (!this.#isClosed) native.close(this.fd);
    this.#isClosed = true;
  }
}

/** A server whose connections are accepted when the test says so. */
export class RawServer {
  readonly port: number;
  readonly #fd: number;

  constructor() {
    this.#fd = native.tcpListen(ownAddress, 0, 16);
    this.port = localPort(this.#fd);
    onTestFinished(() => void native.close(this.#fd));
  }

  async accept(): Promise<RawEnd> {
    let fd = -1;
    await until(() => (fd = native.accept(this.#fd, new Uint8Array(20))) >= 0);
    return new RawEnd(fd);
  }
}

function endingOf(result: number): string {
  return result === 0 ? 'fin' : errnoName(result);
}
