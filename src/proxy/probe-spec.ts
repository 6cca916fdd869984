/** What a health check does with a server, as plain data: the probes in io/ perform it. */

/** How a probe speaks TLS. */
export type ProbeTls = {
  /** The name to ask for, and to verify; undefined: none is sent, and the address is verified. */
  readonly sni: string | undefined;
  readonly verify: boolean;
  /** The certificates to verify against, a PEM file; undefined: those that the runtime trusts. */
  readonly caFile: string | undefined;
};

/** Bytes to send, or to wait for; what came before those that are waited for is skipped. */
export type ExpectStep = {
  readonly kind: 'send' | 'expect';
  readonly bytes: Uint8Array;
  /** As an operator knows them. */
  readonly label: string;
};

/** Both included. */
export type StatusRange = { readonly from: number; readonly to: number };

export type HttpProbeSpec = {
  readonly kind: 'http';
  readonly method: string;
  readonly path: string;
  /** Of the Host header; undefined: the address and port that are checked. */
  readonly host: string | undefined;
  readonly expectStatus: readonly StatusRange[];
  /** A text that the first 64 KiB of the body hold; undefined: the body is not looked at. */
  readonly expectBody: string | undefined;
  readonly tls: ProbeTls | undefined;
};

export type ProbeSpec =
  | { readonly kind: 'tcp' }
  | HttpProbeSpec
  | { readonly kind: 'tls'; readonly tls: ProbeTls }
  | { readonly kind: 'expect'; readonly steps: readonly ExpectStep[]; readonly tls: ProbeTls | undefined }
  /** A program and its arguments: passed if it exits with 0. */
  | { readonly kind: 'command'; readonly words: readonly string[] }
  /** HAProxy's agent-check: the answer is the result's detail. */
  | { readonly kind: 'agent'; readonly send: string | undefined };

/** Whether a status is in one of the ranges. */
export function isExpectedStatus(status: number, ranges: readonly StatusRange[]): boolean {
  return ranges.some(({ from, to }) => status >= from && status <= to);
}
