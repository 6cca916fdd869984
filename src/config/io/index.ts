export { checkKeyFile, readKey } from './key-file.ts';
export { loadConfig } from './load.ts';
