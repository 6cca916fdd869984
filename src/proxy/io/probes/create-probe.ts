import type { Clock, Native } from '../../../runtime/index.ts';
import type { ProbeSpec } from '../../index.ts';
import type { Poller } from '../poller.ts';
import { agentProbe } from './agent-probe.ts';
import { commandProbe } from './command-probe.ts';
import { expectProbe } from './expect-probe.ts';
import { httpProbe } from './http-probe.ts';
import type { Probe } from './probe.ts';
import { tcpProbe } from './tcp-probe.ts';
import { tlsProbe } from './tls-probe.ts';

export type ProbeDependencies = { readonly native: Native; readonly clock: Clock; readonly poller: Poller };

/** The probe that does what the check says. */
export function createProbe(spec: ProbeSpec, dependencies: ProbeDependencies): Probe {
  switch (spec.kind) {
    case 'tcp':
      return tcpProbe(dependencies);
    case 'http':
      return httpProbe(spec, dependencies);
    case 'tls':
      return tlsProbe(spec.tls, dependencies);
    case 'expect':
      return expectProbe(spec, dependencies);
    case 'command':
      return commandProbe(spec.words, dependencies);
    case 'agent':
      return agentProbe(spec.send, dependencies);
  }
}
