export type { ClientHello, HelloFault, HelloReading } from './client-hello.ts';
export { ClientHelloReader, helloBytesMax } from './client-hello.ts';
export type { SniRoute } from './sni-routes.ts';
export { SniRoutes } from './sni-routes.ts';
