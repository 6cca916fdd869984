/** Sends recorded packets once more: replay.ts PACKET …, each an IP packet in hexadecimal. */

import { fromHex } from '../../src/base/index.ts';
import { RawTransport } from '../../src/vrrp/io/index.ts';

const destinationAt = 16;

const transport = new RawTransport({ interfaceName: 'lan0', isMulticast: true });
await transport.start();
for (const packet of process.argv.slice(2).map(fromHex)) {
  const sent = transport.send(packet, packet.subarray(destinationAt, destinationAt + 4));
  if (!sent.ok) throw new Error(`not sent: ${sent.reason}`);
}
await transport.stop();
