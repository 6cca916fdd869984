export type { AgentConfig, CheckConfig, ExpectStepConfig, OutlierConfig, ProbeConfig } from './check-config.ts';
export type { Config, NodeConfig, ServerConfig, ServiceConfig, SyncConfig } from './config.ts';
export type { ConfigChange } from './diff.ts';
export { diffConfig, formatChange, needsRestart } from './diff.ts';
export type { DiscoveryConfig, Lookup } from './dns-schema.ts';
export type { Position } from './document.ts';
export { parseDuration } from './duration.ts';
export type { Endpoint } from './endpoint.ts';
export { parseEndpoint } from './endpoint.ts';
export type { FrontDoorConfig } from './front-door-config.ts';
export { configHash } from './hash.ts';
export { jsonSchema, jsonSchemaText } from './json-schema.ts';
export { locate, parseConfig } from './parse.ts';
export type { Path, Problem } from './problem.ts';
export { formatPath, formatProblem } from './problem.ts';
export type {
  HmacConfig,
  HooksConfig,
  SyncGroupConfig,
  TrackerConfig,
  TrackerSubject,
  VirtualRouterConfig,
} from './router-config.ts';
export { configWarnings } from './warnings.ts';
export { readServer } from './read-server.ts';
export type { StickConfig } from './stick-schema.ts';
