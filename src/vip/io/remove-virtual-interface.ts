import type { VirtualInterfaceSpec } from '../index.ts';
import type { NetlinkCalls } from './change-socket.ts';
import { Rtnetlink } from './rtnetlink.ts';
import { VirtualInterface } from './virtual-interface.ts';

/**
 * Removes what a process that has died, or an earlier life with another configuration, left behind, and gives the
 * parent back what it had. Throws OperatorError `VIRTUAL_INTERFACE_REFUSED`.
 */
export async function removeVirtualInterface(
  spec: VirtualInterfaceSpec,
  dependencies: { native: NetlinkCalls },
): Promise<void> {
  const kernel = new Rtnetlink(dependencies);
  kernel.open();
  try {
    await new VirtualInterface(spec, { kernel }).remove();
  } finally {
    kernel.close();
  }
}
