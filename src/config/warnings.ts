import type { Config } from './config.ts';

/** What is allowed and yet worth a second thought, one sentence each; the file is correct all the same. */
export function configWarnings(config: Config): readonly string[] {
  return config.virtualRouters.flatMap(({ name, simplePassword }) =>
    simplePassword === undefined
      ? []
      : [`virtual router ${name}: simplePassword protects nothing, everybody on the LAN can read it`],
  );
}
