/** The command line: what there is, in the words of `--help`. Each command's code is loaded when it is asked for. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { OperatorError } from '../runtime/index.ts';
import type { BackupOptions, RestoreOptions } from './backup.ts';
import type { FailoverOptions } from './failover.ts';
import type { ReloadOptions } from './reload.ts';
import type { StickListOptions } from './stick.ts';

/** 0 done, 1 refused or failed, 2 wrong usage. */
export type ExitCode = 0 | 1 | 2;

/** Options of every command that talks to a running node. */
export type NodeOptions = { readonly socket: string; readonly node?: string; readonly json?: boolean };

const defaultSocketDirectory = '/run/tandem';
const defaultConfigFile = '/etc/tandem/tandem.yaml';

/** Runs one command to its end and answers its exit code; errors are one line on standard error. */
export async function runCli(argv: readonly string[]): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  const program = buildProgram((code) => (exitCode = code));
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof OperatorError) {
      process.stderr.write(`tandem: ${error.line}\n`);
      return 1;
    }
    throw error;
  }
}

function buildProgram(exit: (code: ExitCode) => void): Command {
  const program = new Command('tandem')
    .description('An active-standby pair of TCP load balancers: VRRP, proxy and session sync in one program.')
    .version('0.1.0')
    .exitOverride()
    .showHelpAfterError('(see tandem --help)');
  addFileCommands(program, exit);
  addStatusCommands(program);
  addOperatorCommands(program, exit);
  addStickCommands(program);
  addBackupCommands(program);
  return program;
}

function addFileCommands(program: Command, exit: (code: ExitCode) => void): void {
  const configOption = new Option('-c, --config <file>', 'the configuration, the same on both nodes').default(
    defaultConfigFile,
  );
  program
    .command('run')
    .description(
      'run a node in the foreground; SIGTERM hands over and ends it, a second one ends it at once; SIGHUP reloads',
    )
    .addOption(configOption)
    .option('--node <name>', 'which of the nodes this is (default: the host name)')
    .action(async (options: { config: string; node?: string }) => {
      exit(await (await import('./run.ts')).run(options.config, options.node));
    });
  program
    .command('check')
    .description('check a configuration and print every problem as file:line:column')
    .addOption(configOption)
    .option('--json', 'print the problems as JSON')
    .action(async (options: { config: string; json?: boolean }) => {
      exit(await (await import('./check.ts')).check(options.config, options.json === true));
    });
  program
    .command('doctor')
    .description('look at what this machine gives to a node: privileges, interfaces, ports, the peer; changes nothing')
    .addOption(configOption)
    .option('--node <name>', 'which of the nodes this is (default: the host name)')
    .option('--json', 'print the findings as JSON')
    .action(async (options: { config: string; node?: string; json?: boolean }) => {
      exit(await (await import('./doctor.ts')).doctor(options.config, options.node, options.json === true));
    });
  program
    .command('schema')
    .description('print the JSON Schema of the configuration, for editors')
    .option('--output <file>', 'write it to a file')
    .action(async (options: { output?: string }) => (await import('./check.ts')).schema(options.output));
}

function addStatusCommands(program: Command): void {
  nodeCommand(program, 'status', 'show this node, its peer, the virtual routers and the services')
    .option('--watch', 'show it again each second')
    .action(async (options: NodeOptions & { watch?: boolean }) =>
      (await import('./status.ts')).status(options, options.watch === true),
    );
  nodeCommand(program, 'events', 'show what happened on this node')
    .option('--follow', 'go on with what happens next')
    .action(async (options: NodeOptions & { follow?: boolean }) =>
      (await import('./events.ts')).events(options, options.follow === true),
    );
}

function addOperatorCommands(program: Command, exit: (code: ExitCode) => void): void {
  nodeCommand(program, 'failover', 'make the other node active, and wait until it serves; works on either node')
    .option('--to <node>', 'the node that shall be active')
    .option('--router <name...>', 'only these virtual routers, with their sync groups')
    .option('--force', 'even if the peer is absent, behind in sync, or has another configuration')
    .addOption(
      new Option('--timeout <duration>', 'how long to wait for the peer to serve')
        .argParser(parseTimeout)
        .default(10_000, '10s'),
    )
    .action(async (options: FailoverOptions) => {
      exit(await (await import('./failover.ts')).failover(options));
    });
  nodeCommand(program, 'reload', 'apply the changed configuration file, all of it or nothing; drops no connection')
    .option('-c, --config <file>', 'with --dry-run: another file than the one that the node was started with')
    .option('--dry-run', 'print what would change, and change nothing')
    .action(async (options: ReloadOptions) => {
      exit(await (await import('./reload.ts')).reload(options));
    });
  const server = program.command('server').description('show servers and take them in and out of use, on both nodes');
  nodeCommand(server, 'list', 'list the servers')
    .argument('[service]')
    .action(async (service: string | undefined, options: NodeOptions) =>
      (await import('./server.ts')).list(options, service),
    );
  const changes = [
    ['drain', 'no new connections but those of sticky clients; established ones end in their drainTime, or go on'],
    ['ready', 'back in use'],
    ['maint', 'no new connections at all, no checks; established ones as with drain'],
  ] as const;
  for (const [action, description] of changes) {
    const command = nodeCommand(server, action, description).argument('<service>').argument('<server>');
    if (action !== 'ready') {
      command.option('--over <duration>', 'end its connections in this time, one after the other', parseTimeout);
    }
    command.action(async (service: string, name: string, options: NodeOptions & { over?: number }) =>
      (await import('./server.ts')).change(options, { service, server: name, action, overMs: options.over }),
    );
  }
  nodeCommand(server, 'add', 'add a server until it is removed, on both nodes')
    .argument('<service>')
    .argument('<name>')
    .argument('<address>', "IP address, with a port unless it is that of the service's first server")
    .option('--weight <weight>', '0 to 256', parseWeight)
    .action(async (service: string, name: string, address: string, options: NodeOptions & { weight?: number }) =>
      (await import('./server.ts')).add(options, { service, name, address, weight: options.weight }),
    );
  nodeCommand(server, 'remove', 'remove a server that was added; its connections go on until they end')
    .argument('<service>')
    .argument('<server>')
    .option('--force', 'reset its connections')
    .action(async (service: string, name: string, options: NodeOptions & { force?: boolean }) =>
      (await import('./server.ts')).remove(options, { service, server: name, force: options.force === true }),
    );
  nodeCommand(server, 'weight', 'change the weight; without one, back to the configured weight')
    .argument('<service>')
    .argument('<server>')
    .argument('[weight]', '0 to 256', parseWeight)
    .action(async (service: string, name: string, weight: number | undefined, options: NodeOptions) =>
      (await import('./server.ts')).change(options, { service, server: name, action: 'weight', weight }),
    );
}

function addStickCommands(program: Command): void {
  const stick = program.command('stick').description('show which server clients are sticky to, and clear that');
  nodeCommand(stick, 'list', 'list the clients that are remembered')
    .argument('[service]')
    .option('--source <address>', 'only this client')
    .action(async (service: string | undefined, options: StickListOptions) =>
      (await import('./stick.ts')).list(options, service),
    );
  const clear = nodeCommand(stick, 'clear', 'forget a client of a service, or all of them, on both nodes')
    .argument('<service>')
    .argument('[source]', 'the address of the client')
    .option('--all', 'all clients of the service');
  clear.action(async (service: string, source: string | undefined, options: NodeOptions & { all?: boolean }) => {
    if ((source === undefined) !== (options.all === true)) clear.error('error: name a source, or --all');
    await (await import('./stick.ts')).clear(options, service, source);
  });
}

function addBackupCommands(program: Command): void {
  nodeCommand(program, 'backup', 'write configuration, overrides, added servers and stick tables to a file')
    .argument('<file>')
    .option('--with-keys', 'the keys as well')
    .option('--force', 'replace the file if it is there')
    .action(async (file: string, options: BackupOptions) => (await import('./backup.ts')).backup(options, file));
  nodeCommand(program, 'restore', 'bring overrides, added servers and stick tables of a backup back, on both nodes')
    .argument('<file>')
    .option('-c, --config <file>', 'instead: write its configuration to this file, and its keys; needs no running node')
    .option('--force', 'with --config: replace files that are there')
    .action(async (file: string, options: RestoreOptions) => (await import('./backup.ts')).restore(options, file));
}

function nodeCommand(parent: Command, name: string, description: string): Command {
  return parent
    .command(name)
    .description(description)
    .option('--socket <directory>', 'where the admin sockets are', process.env.TANDEM_SOCKET ?? defaultSocketDirectory)
    .option('--node <name>', 'which node, if several run here')
    .option('--json', 'print JSON');
}

function parseWeight(text: string): number {
  const weight = Number(text);
  if (!Number.isInteger(weight) || weight < 0 || weight > 256) throw new InvalidArgumentError('expected 0 to 256');
  return weight;
}

function parseTimeout(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text);
  const unitMs = { ms: 1, s: 1_000, m: 60_000 }[match?.[2] ?? ''];
  if (match === null || unitMs === undefined) throw new InvalidArgumentError('expected a duration such as 10s');
  return Number(match[1]) * unitMs;
}
