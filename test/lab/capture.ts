/** Every frame that passes a switch, as tcpdump writes it down: what the hosts did, whatever they say of themselves. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from './lab.ts';
import { waitUntil } from './time.ts';

export type CapturedFrame = {
  /** Wall clock, to the microsecond. */
  readonly atMs: number;
  /** From the Ethernet header on. */
  readonly bytes: Uint8Array;
};

export type Capture = {
  /** All frames until now, in the order of time. */
  frames(): readonly CapturedFrame[];
  /** Resolves when every frame that has passed is in `frames`, and no more will be. */
  stop(): Promise<void>;
};

let captureCount = 0;

/** `filter` in tcpdump's language: "proto 112 or arp". Resolves when the capture has begun. */
export async function startCapture(lab: Lab, network: string, filter: string): Promise<Capture> {
  const path = join(lab.directory, `capture-${captureCount++}.pcap`);
  const process = lab
    .switch(network)
    .spawn([
      ...['tcpdump', '--immediate-mode', '--packet-buffered', '-n', '-Z', 'root'],
      ...['-i', 'bridge0', '-w', path, filter],
    ]);
  await process.waitForLine(/listening on/, 5_000);
  await waitUntil(() => readFileSync(path).length >= fileHeaderBytes, { timeoutMs: 5_000, what: 'the capture begins' });
  return {
    frames: () => readPcap(readFileSync(path)),
    stop: async () => {
      await process.stop();
    },
  };
}

const fileHeaderBytes = 24;
const recordHeaderBytes = 16;
/** Microseconds, in the byte order of the machine that wrote it: this one's. */
const pcapMagic = 0xa1b2c3d4;

/** The classic format of libpcap; a last record that is not all there yet is left out. */
export function readPcap(file: Uint8Array): CapturedFrame[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const isLittleEndian = view.getUint32(0, true) === pcapMagic;
  if (view.getUint32(0, isLittleEndian) !== pcapMagic) throw new Error('no pcap file');
  const uint32 = (offset: number): number => view.getUint32(offset, isLittleEndian);
  const frames: CapturedFrame[] = [];
  for (let offset = fileHeaderBytes; offset + recordHeaderBytes <= file.length;) {
    const end = offset + recordHeaderBytes + uint32(offset + 8);
    if (end > file.length) break;
    const atMs = uint32(offset) * 1000 + uint32(offset + 4) / 1000;
    frames.push({ atMs, bytes: file.subarray(offset + recordHeaderBytes, end) });
    offset = end;
  }
  return frames;
}
