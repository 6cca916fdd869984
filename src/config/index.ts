export type {
  CheckConfig,
  Config,
  NodeConfig,
  ServerConfig,
  ServiceConfig,
  SyncConfig,
  VirtualRouterConfig,
} from './config.ts';
export type { Position } from './document.ts';
export { parseDuration } from './duration.ts';
export type { Endpoint } from './endpoint.ts';
export { parseEndpoint } from './endpoint.ts';
export { configHash } from './hash.ts';
export { jsonSchema, jsonSchemaText } from './json-schema.ts';
export { locate, parseConfig } from './parse.ts';
export type { Problem } from './problem.ts';
export { formatProblem } from './problem.ts';
