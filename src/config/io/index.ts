export { checkKeyFiles, keyFilesOf, readKey } from './key-file.ts';
export { loadConfig } from './load.ts';
