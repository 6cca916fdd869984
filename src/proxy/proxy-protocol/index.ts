export { decodeProxyHeader, encodeProxyHeader } from './codec.ts';
export type { ProxyHeader, ProxyHeaderFault, ProxyHeaderReading, ProxyVersion } from './header.ts';
