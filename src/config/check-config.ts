/** What is checked of a service's servers, as the program uses it. */

import type { CheckTiming } from '../base/index.ts';
import { checkDefaults } from './check-schema.ts';
import type { ConfigFile } from './schema.ts';

export type CheckConfig = CheckTiming & {
  /** Undefined: each server's own. */
  readonly address: string | undefined;
  /** Undefined: each server's own. */
  readonly port: number | undefined;
  readonly probe: ProbeConfig;
};

export type ProbeConfig =
  | { readonly kind: 'tcp' }
  | {
      readonly kind: 'http';
      readonly method: string;
      readonly path: string;
      /** Undefined: the address and port that are checked. */
      readonly host: string | undefined;
      /** Both ends included. */
      readonly expectStatus: readonly { readonly from: number; readonly to: number }[];
      readonly expectBody: string | undefined;
      readonly tls: TlsCheckConfig | undefined;
    }
  | { readonly kind: 'tls'; readonly tls: TlsCheckConfig }
  | {
      readonly kind: 'expect';
      readonly steps: readonly ExpectStepConfig[];
      readonly tls: TlsCheckConfig | undefined;
    }
  | { readonly kind: 'command'; readonly words: readonly string[] };

export type TlsCheckConfig = {
  readonly sni: string | undefined;
  readonly verify: boolean;
  readonly caFile: string | undefined;
};

/** The text as such, or pairs of hexadecimal digits. */
export type ExpectStepConfig = {
  readonly kind: 'send' | 'expect';
  readonly form: 'text' | 'hex';
  readonly value: string;
};

export type AgentConfig = {
  readonly port: number;
  /** Undefined: each server's own. */
  readonly address: string | undefined;
  readonly interMs: number;
  readonly send: string | undefined;
};

export type OutlierConfig = {
  readonly consecutiveFailures: number;
  readonly ejectionTimeMs: number;
  readonly ejectionTimeMaxMs: number;
  /** 0..1 */
  readonly panicShare: number;
};

type ServiceFile = ConfigFile['services'][number];
type CheckFile = Exclude<ServiceFile['check'], false>;

export function checkOf(check: CheckFile): CheckConfig {
  return {
    interMs: check.inter,
    fastinterMs: check.fastinter ?? check.inter,
    downinterMs: check.downinter ?? check.inter,
    timeoutMs: check.timeout ?? Math.min(checkDefaults.timeoutMs, check.inter),
    rise: check.rise,
    fall: check.fall,
    address: check.address,
    port: check.port,
    probe: probeOf(check),
  };
}

export function agentOf({ port, address, inter, send }: NonNullable<ServiceFile['agent']>): AgentConfig {
  return { port, address, interMs: inter, send };
}

export function outlierOf(outlier: NonNullable<ServiceFile['outlier']>): OutlierConfig {
  return {
    consecutiveFailures: outlier.consecutiveFailures,
    ejectionTimeMs: outlier.ejectionTime,
    ejectionTimeMaxMs: outlier.ejectionTimeMax,
    panicShare: outlier.panic,
  };
}

function probeOf(check: CheckFile): ProbeConfig {
  const tls = check.tls && tlsOf(check.tls);
  switch (check.type) {
    case 'tcp':
      return { kind: 'tcp' };
    case 'http':
      return {
        kind: 'http',
        method: check.method ?? checkDefaults.method,
        path: check.path ?? checkDefaults.path,
        host: check.host,
        expectStatus: check.expectStatus ?? checkDefaults.expectStatus,
        expectBody: check.expectBody,
        tls,
      };
    case 'tls':
      return { kind: 'tls', tls: tls ?? tlsOf({}) };
    case 'expect':
      return { kind: 'expect', steps: (check.steps ?? []).flatMap(stepOf), tls };
    case 'command':
      return { kind: 'command', words: check.command ?? [] };
  }
}

function tlsOf({ sni, verify, caFile }: NonNullable<CheckFile['tls']>): TlsCheckConfig {
  const isVerified = (verify ?? (caFile === undefined ? 'none' : 'required')) === 'required';
  return { sni, verify: isVerified, caFile };
}

function stepOf(step: NonNullable<CheckFile['steps']>[number]): readonly ExpectStepConfig[] {
  const forms = [
    { kind: 'send', form: 'text', value: step.send },
    { kind: 'send', form: 'hex', value: step.sendHex },
    { kind: 'expect', form: 'text', value: step.expect },
    { kind: 'expect', form: 'hex', value: step.expectHex },
  ] as const;
  return forms.flatMap(({ value, ...rest }) => (value === undefined ? [] : [{ ...rest, value }]));
}
