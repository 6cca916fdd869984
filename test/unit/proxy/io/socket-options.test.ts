import { describe, expect, it } from 'vitest';
import type { TcpOptions } from '../../../../src/proxy/index.ts';
import type { Native } from '../../../../src/runtime/index.ts';
import { exchange, native, startEchoServer, startProxy } from './harness.ts';

const SOL_SOCKET = 1;
const SO_KEEPALIVE = 9;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_USER_TIMEOUT = 18;

const off: TcpOptions = { noDelay: false, keepalive: undefined, userTimeoutMs: 0 };
const on: TcpOptions = {
  noDelay: true,
  keepalive: { idleS: 61, intervalS: 11, count: 7 },
  userTimeoutMs: 30_000,
};
const onInKernel = { noDelay: 1, keepalive: 1, idleS: 61, intervalS: 11, count: 7, userTimeoutMs: 30_000 };

describe('the TCP options of a service', () => {
  it('are those of both sockets, once the connection has lived to see a sweep', async () => {
    const { proxy, descriptors, connectedClient } = await startWatched(on);
    await connectedClient();
    const [front, back] = descriptors;
    expect(optionsOf(front)).toEqual(onInKernel);
    expect(optionsOf(back)).toMatchObject({ noDelay: 1, keepalive: 0 });
    proxy.clock.advance(500);
    expect(optionsOf(back)).toEqual(onInKernel);
  });

  it('may all be off', async () => {
    const { proxy, descriptors, connectedClient } = await startWatched(off);
    await connectedClient();
    proxy.clock.advance(500);
    for (const fd of descriptors) expect(optionsOf(fd)).toMatchObject({ noDelay: 0, keepalive: 0, userTimeoutMs: 0 });
  });

  it('change with the configuration for connections that are accepted from then on', async () => {
    const { proxy, descriptors, connectedClient } = await startWatched(on);
    await connectedClient();
    proxy.configure({ ...proxy.spec, tcp: off });
    await connectedClient();
    const [first, , second] = descriptors;
    expect(optionsOf(first)).toEqual(onInKernel);
    expect(optionsOf(second)).toMatchObject({ noDelay: 0, keepalive: 0, userTimeoutMs: 0 });
  });
});

/** A proxy whose sockets are known: of each connection the client's, then the server's. */
async function startWatched(tcp: TcpOptions) {
  const descriptors: number[] = [];
  const remember = (fd: number): number => {
    if (fd >= 0) descriptors.push(fd);
    return fd;
  };
  const watched: Native = {
    ...native,
    accept: (listener, endpoint) => remember(native.accept(listener, endpoint)),
    tcpConnect: (...target) => remember(native.tcpConnect(...target)),
  };
  const proxy = await startProxy([await startEchoServer()], { native: watched, service: { tcp } });
  const connectedClient = async (): Promise<void> => {
    const client = proxy.connect();
    await exchange(client, 'x');
  };
  return { proxy, descriptors, connectedClient };
}

function optionsOf(fd = -1) {
  return {
    noDelay: read(fd, IPPROTO_TCP, TCP_NODELAY) === 0 ? 0 : 1,
    keepalive: read(fd, SOL_SOCKET, SO_KEEPALIVE),
    idleS: read(fd, IPPROTO_TCP, TCP_KEEPIDLE),
    intervalS: read(fd, IPPROTO_TCP, TCP_KEEPINTVL),
    count: read(fd, IPPROTO_TCP, TCP_KEEPCNT),
    userTimeoutMs: read(fd, IPPROTO_TCP, TCP_USER_TIMEOUT),
  };
}

function read(fd: number, level: number, option: number): number {
  const value = new Int32Array(1);
  const length = native.getOption(fd, level, option, new Uint8Array(value.buffer));
  if (length !== 4) throw new Error(`option ${option} of ${fd}: ${length}`);
  return value[0] ?? 0;
}
