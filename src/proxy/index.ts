export type { Admitted, AdmissionRefusal, AdmissionSpec, PerSourceSpec } from './admission/index.ts';
export { Admission, PrefixSet, sourceSteering } from './admission/index.ts';
export type { AgentState } from './agent.ts';
export { agentShare, hearAgent, silentAgent } from './agent.ts';
export type { Balance, Candidate, Latency, PoolView, Question } from './balance/index.ts';
export { buildMaglevTable, isHashed, latencyAt, observeLatency, pick } from './balance/index.ts';
export type { CheckConfig, CheckEffect, CheckInput, CheckResult, CheckState, CheckStep } from './check.ts';
export { nextCheckDeadlineMs, restartCheck, startCheck, stepCheck } from './check.ts';
export type { Answer, DiscoveryState, Found } from './discovery.ts';
export { foundMax, newDiscovery, stepDiscovery } from './discovery.ts';
export type { DrainPace } from './drain-pace.ts';
export { startDrainPace, stepDrainPace } from './drain-pace.ts';
export type { ExpectEffect, ExpectState, ExpectTurn } from './expect-script.ts';
export { expectBytesMax, feedExpect, missingOf, startExpect } from './expect-script.ts';
export type { DoorRefusal, FrontDoor } from './front-door.ts';
export { openDoor } from './front-door.ts';
export type {
  OutlierConfig,
  OutlierEffect,
  OutlierInput,
  OutlierPool,
  OutlierStanding,
  OutlierState,
} from './outlier.ts';
export { nextOutlierDeadlineMs, stepOutlier } from './outlier.ts';
export type { ExpectStep, HttpProbeSpec, ProbeSpec, ProbeTls, StatusRange } from './probe-spec.ts';
export { isExpectedStatus } from './probe-spec.ts';
export type { ProxyHeader, ProxyHeaderReading, ProxyVersion } from './proxy-protocol/index.ts';
export { decodeProxyHeader, encodeProxyHeader } from './proxy-protocol/index.ts';
export type {
  AdminState,
  Eligibility,
  Health,
  PoolChange,
  PoolServer,
  PoolUpdate,
  ServerPool,
  ServerSpec,
} from './server-pool.ts';
export {
  createPool,
  effectiveWeight,
  eligibility,
  isWeight,
  reconfigurePool,
  serving,
  setAdmin,
  setAgent,
  setEjected,
  setHealth,
  setWeight,
  weightMax,
} from './server-pool.ts';
export { slowStartWeight } from './slow-start.ts';
export type { ClientAddresses, SocketAddress } from './socket-address.ts';
export type { StickPrefix } from './stick-source.ts';
export { stickSource, stickSourceOf } from './stick-source.ts';
export type { StickEntry } from './stick-table.ts';
export { StickTable } from './stick-table.ts';
export type { ConnectionSide, InactivityLimits } from './inactivity.ts';
export { timedOutSide } from './inactivity.ts';
export type { EndCause, Phase } from './termination.ts';
export { endCauses, refusalCode, terminationCode } from './termination.ts';
export type { ClientHello, HelloReading, SniRoute } from './tls/index.ts';
export { ClientHelloReader, SniRoutes, helloBytesMax } from './tls/index.ts';
export type {
  AccessLogDestination,
  DialRefusal,
  RefusalReason,
  ServerCounters,
  ServerFailures,
  ServiceCounters,
  StickAssignment,
  StickClaim,
  TcpOptions,
  WorkerCommand,
  WorkerCounters,
  WorkerQueue,
  WorkerReport,
  WorkerServer,
  WorkerService,
} from './worker-protocol.ts';
