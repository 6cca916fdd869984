export { keyFilesOf, readKey, readSyncKeys } from './key-file.ts';
export { loadConfig } from './load.ts';
export { checkNamedFiles } from './named-files.ts';
export { stateDirectoryFlaw } from './state-directory.ts';
