/** What operators are told of services and servers that they name but that do not exist, or cannot be served. */
import { formatEndpoint } from '../base/index.ts';
import type { ServiceConfig } from '../config/index.ts';
import { OperatorError } from '../runtime/index.ts';

export function noSuchService(service: string, known: Iterable<string>): OperatorError {
  return new OperatorError('NO_SUCH_SERVICE', `there is no service ${service}`, `there are: ${[...known].join(', ')}`);
}

export function noSuchServer(service: string, server: string, known: Iterable<string>): OperatorError {
  const what = `service ${service} has no server ${server}`;
  return new OperatorError('NO_SUCH_SERVER', what, `there are: ${[...known].join(', ')}`);
}

/** The server is not one that was added at run time, and so cannot be removed. */
export function configuredServer(service: string, server: string, origin: 'file' | 'dns'): OperatorError {
  const where = origin === 'dns' ? 'comes from a DNS name' : 'is in the file';
  const mend = 'take it out of the file and tandem reload, or tandem server maint';
  return new OperatorError('CONFIGURED', `${server} ${where} of service ${service}`, mend);
}

export function notSticky(service: string): OperatorError {
  return new OperatorError('NOT_STICKY', `service ${service} has no stickiness`, 'configure stick for it');
}

/** `error` is the name of an errno; `service` undefined: it is not known any more. */
export function listenError(service: ServiceConfig | undefined, error: string): OperatorError {
  const where = service === undefined ? '' : formatEndpoint(service.listen.address, service.listen.port);
  const mend =
    error === 'EADDRINUSE'
      ? `stop the other program on that port (ss -ltnp shows it) or choose another`
      : error === 'EACCES'
        ? 'run as root, or with CAP_NET_BIND_SERVICE for ports below 1024'
        : 'see `man 7 ip` for what this means';
  return new OperatorError('LISTEN', `service ${service?.name ?? '?'} cannot listen on ${where}: ${error}`, mend);
}
