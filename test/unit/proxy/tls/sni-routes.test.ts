import { describe, expect, it } from 'vitest';
import { SniRoutes } from '../../../../src/proxy/tls/index.ts';

const routes = new SniRoutes([
  { names: ['www.example.com', 'example.com'], alpn: [], target: 'web' },
  { names: ['*.example.com'], alpn: [], target: 'any' },
  { names: ['*.eu.example.com'], alpn: ['h2', 'h3'], target: 'eu-h2' },
  { names: ['mail.example.com'], alpn: ['imap'], target: 'imap' },
  { names: ['mail.example.com'], alpn: [], target: 'mail' },
  { names: ['acme.example.org'], alpn: ['acme-tls/1'], target: 'acme' },
]);

describe('a client goes by its name', () => {
  it.each([
    ['www.example.com', 'web'],
    ['example.com', 'web'],
    ['other.example.com', 'any'],
    ['a.b.c.example.com', 'any'],
    ['notexample.com', undefined],
    ['example.org', undefined],
    ['com', undefined],
    ['*.example.com', 'any'],
  ])('%s to %s', (serverName, target) => {
    expect(routes.find({ serverName, alpn: [] })).toBe(target);
  });

  it.each([
    ['mail.example.com', ['imap'], 'imap'],
    ['mail.example.com', ['h2', 'imap'], 'imap'],
    ['mail.example.com', ['h2'], 'mail'],
    ['mail.example.com', [], 'mail'],
    ['x.eu.example.com', ['h3'], 'eu-h2'],
    ['x.eu.example.com', ['http/1.1'], 'any'],
    ['acme.example.org', [], undefined],
    ['acme.example.org', ['acme-tls/1'], 'acme'],
  ])('%s with %j to %s', (serverName, alpn, target) => {
    expect(routes.find({ serverName, alpn })).toBe(target);
  });

  it('and to nobody without one, or with one that is longer than a name can be', () => {
    expect(routes.find({ serverName: undefined, alpn: ['imap'] })).toBeUndefined();
    expect(routes.find({ serverName: `${'a.'.repeat(124)}example.com`, alpn: [] })).toBeUndefined();
    expect(routes.find({ serverName: `${'a.'.repeat(122)}example.com`, alpn: [] })).toBe('any');
  });
});
