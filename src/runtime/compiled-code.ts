import { setFlagsFromString } from 'node:v8';

/**
 * V8 forgets the compiled form of functions that have not run for some garbage collections. On a standby that are those
 * of becoming active, which has to be quick.
 */
export function keepCompiledCode(): void {
  setFlagsFromString('--no-flush-bytecode');
}
