/** Who gets a TLS client, by the name that it asks for and the protocols that it would speak. */
import type { ClientHello } from './client-hello.ts';

export type SniRoute<Target> = {
  /** "www.example.com" alone, or "*.example.com": every name below example.com, but not itself. In lower case. */
  readonly names: readonly string[];
  /** Only for clients that offer one of these; empty: for all. */
  readonly alpn: readonly string[];
  readonly target: Target;
};

const wildcard = '*.';
/** A name in the DNS cannot be longer, and so cannot have more labels than a lookup can bear. */
const nameLengthMax = 255;

export class SniRoutes<Target> {
  readonly #byName = new Map<string, SniRoute<Target>[]>();

  constructor(routes: readonly SniRoute<Target>[]) {
    for (const route of routes) {
      for (const name of route.names) {
        const known = this.#byName.get(name);
        if (known === undefined) this.#byName.set(name, [route]);
        else known.push(route);
      }
    }
  }

  /**
   * The nearest name decides: the whole one, then the wildcards from the longest to the shortest. Of several routes for
   * one name those with a protocol of the client's go first, and one without `alpn` takes what is left.
   */
  find({ serverName, alpn }: ClientHello): Target | undefined {
    if (serverName === undefined || serverName.length > nameLengthMax) return undefined;
    let target = this.#choose(serverName, alpn);
    for (let dot = serverName.indexOf('.'); dot >= 0 && target === undefined; dot = serverName.indexOf('.', dot + 1)) {
      target = this.#choose(wildcard + serverName.slice(dot + 1), alpn);
    }
    return target;
  }

  #choose(name: string, alpn: readonly string[]): Target | undefined {
    const routes = this.#byName.get(name);
    if (routes === undefined) return undefined;
    const special = routes.find((route) => route.alpn.some((protocol) => alpn.includes(protocol)));
    return (special ?? routes.find((route) => route.alpn.length === 0))?.target;
  }
}
