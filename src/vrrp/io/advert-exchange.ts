/** The packets of one virtual router: what it sends, what it believes of what comes in, and the counts of both. */
import { assert, fail, isLinkLocal, ok } from '../../base/index.ts';
import type { Result } from '../../base/index.ts';
import type { Clock } from '../../runtime/index.ts';
import type { AcceptedAdvert, AuthenticationView, ChecksumForm, DropReason, RouterView } from '../index.ts';
import {
  acceptPacket,
  encodeAdvert,
  encodeVrrpIpv4Packet,
  encodeVrrpIpv6Packet,
  isAdvertInterval,
  vrrpGroupOf,
} from '../index.ts';
import type { RouterAuthentication } from './advert-keys.ts';
import { authenticationView } from './advert-keys.ts';
import type { SealKey } from './advert-seal.ts';
import { AdvertSeal } from './advert-seal.ts';
import type { VirtualRouterOptions } from './driver-ports.ts';
import type { MutableCounters } from './router-counters.ts';
import type { SendFailure, Transport } from './transport.ts';

export type AdvertExchangePorts = {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly counters: MutableCounters;
  readonly onAdvert: (advert: AcceptedAdvert) => void;
  /** Somebody asks for an advert, if we are active. */
  readonly onQuestion: () => void;
};

export class AdvertExchange {
  #options: VirtualRouterOptions;
  readonly #ports: AdvertExchangePorts;
  readonly #destination: Uint8Array;
  readonly #seal: AdvertSeal;
  #view: RouterView;
  /** Undefined: what is sent has no seal. */
  #sealKey: SealKey | undefined;
  #unsubscribe: (() => void) | undefined;
  #packetsSeen = 0;
  #lastDropReason: DropReason | undefined;
  #lastSendError: SendFailure | undefined;
  #peerChecksumForm: ChecksumForm | undefined;

  constructor(options: VirtualRouterOptions, ports: AdvertExchangePorts) {
    const { version, ownAddress } = options;
    assert(version === 3 || ownAddress.length === 4, 'version 2 is for IPv4 alone');
    this.#options = asAdvertised(options);
    this.#ports = ports;
    this.#destination = options.unicastPeer ?? vrrpGroupOf(ownAddress);
    this.#seal = new AdvertSeal(options, ports);
    const authentication = options.authentication && authenticationView(options.authentication);
    this.#view = { ...this.#options, authentication };
    this.#sealKey = sealKeyOf(options.authentication, authentication);
  }

  /** Every packet counts, believed or not. */
  get packetsSeen(): number {
    return this.#packetsSeen;
  }

  get lastDropReason(): DropReason | undefined {
    return this.#lastDropReason;
  }

  get lastSendError(): SendFailure | undefined {
    return this.#lastSendError;
  }

  /** As the last accepted advert had it. */
  get peerChecksumForm(): ChecksumForm | undefined {
    return this.#peerChecksumForm;
  }

  start(): void {
    assert(this.#unsubscribe === undefined, 'a virtual router is started once');
    this.#unsubscribe = this.#ports.transport.subscribe((packet) => this.#onPacket(packet));
  }

  stop(): void {
    this.#unsubscribe?.();
  }

  /** From the next packet on; who we are and whom we talk to must be as it was. */
  reconfigure(options: VirtualRouterOptions): void {
    this.#options = asAdvertised(options);
    this.#seal.reconfigure(this.#options);
    const authentication = options.authentication && authenticationView(options.authentication);
    this.#view = { ...this.#options, authentication };
    this.#sealKey = sealKeyOf(options.authentication, authentication);
  }

  /** Where the next adverts leave from; of the same family as before. */
  setOwnAddress(ownAddress: Uint8Array): void {
    assert(ownAddress.length === this.#options.ownAddress.length, 'a virtual router is of one family');
    this.#options = { ...this.#options, ownAddress };
    this.#view = { ...this.#view, ownAddress };
  }

  send(priority: number): Result<void, SendFailure> {
    const { version, vrid, advertIntervalMs, addresses, ownAddress: source } = this.#options;
    const path = { source, destination: this.#destination };
    const password = version === 2 ? passwordOf(this.#view.authentication) : undefined;
    const advert = { version, vrid, priority, advertIntervalMs, addresses, password };
    const message = encodeAdvert(advert, path, this.#checksumForm());
    const sent = this.#sendPayload(this.#sealKey ? this.#seal.seal(message, path, this.#sealKey) : message);
    const { counters } = this.#ports;
    if (sent.ok) {
      counters.advertsSent++;
      if (priority === 0) counters.priorityZeroSent++;
    } else {
      counters.sendErrors++;
      this.#lastSendError = sent.reason;
    }
    return sent;
  }

  #checksumForm(): ChecksumForm {
    const { checksumForm } = this.#options;
    return checksumForm === 'auto' ? (this.#peerChecksumForm ?? 'pseudo-header') : checksumForm;
  }

  #sendPayload(payload: Uint8Array): Result<void, SendFailure> {
    const { ownAddress: source } = this.#options;
    const encode = source.length === 4 ? encodeVrrpIpv4Packet : encodeVrrpIpv6Packet;
    return this.#ports.transport.send(encode(source, this.#destination, payload), this.#destination);
  }

  #onPacket(packet: Uint8Array): void {
    this.#packetsSeen++;
    const accepted = acceptPacket(this.#view, packet);
    if (!accepted.ok) return this.#drop(accepted.reason);
    if (accepted.value.type === 'challenge') return this.#onChallenge(accepted.value.question);
    const proved = this.#prove(accepted.value);
    if (!proved.ok) return this.#drop(proved.reason);
    this.#onAdvert(accepted.value);
  }

  #drop(reason: DropReason): void {
    this.#ports.counters.dropped[reason]++;
    this.#lastDropReason = reason;
  }

  #onChallenge(question: Uint8Array): void {
    this.#ports.counters.challengesReceived++;
    if (this.#seal.onChallenge(question)) this.#ports.onQuestion();
  }

  /**
   * Whether an advert is one of now. If that cannot be told yet, its sender is asked. Who seals nothing asks nobody: it
   * believes adverts without a seal as well, so that a recording proves nothing to it.
   */
  #prove({ source, stamp }: AcceptedAdvert): Result<void, DropReason> {
    if (stamp === undefined || this.#sealKey === undefined) return ok(undefined);
    const { refused, question } = this.#seal.judge(source, stamp);
    if (question !== undefined) {
      const path = { source: this.#options.ownAddress, destination: this.#destination };
      // What cannot be sent now is asked again with the next advert.
      this.#sendPayload(this.#seal.challenge(question, path, this.#sealKey));
      this.#ports.counters.challengesSent++;
    }
    return refused === undefined ? ok(undefined) : fail(refused);
  }

  #onAdvert(advert: AcceptedAdvert): void {
    const { counters } = this.#ports;
    counters.advertsReceived++;
    if (advert.priority === 0) counters.priorityZeroReceived++;
    if (!advert.addressesMatch) counters.addressListMismatches++;
    if (!advert.firstAddressMatches) counters.firstAddressMismatches++;
    this.#peerChecksumForm = advert.checksumForm;
    this.#ports.onAdvert(advert);
  }
}

function sealKeyOf(
  authentication: RouterAuthentication | undefined,
  view: AuthenticationView | undefined,
): SealKey | undefined {
  if (authentication?.type !== 'hmac-sha256' || view?.type !== 'hmac-sha256') return undefined;
  return authentication.mode === 'receive-only' ? undefined : { keyId: authentication.sendKeyId, hmac: view.hmac };
}

function passwordOf(authentication: AuthenticationView | undefined): Uint8Array | undefined {
  return authentication?.type === 'simple-text' ? authentication.password : undefined;
}

function asAdvertised(options: VirtualRouterOptions): VirtualRouterOptions {
  const { version, advertIntervalMs, addresses } = options;
  assert(isAdvertInterval(version, advertIntervalMs), `${advertIntervalMs} ms fit into an advert`);
  return { ...options, addresses: addresses.toSorted((a, b) => rankInAdvert(a) - rankInAdvert(b)) };
}

/** An IPv6 virtual router's link-local address comes first in its adverts (RFC 9568, 5.2.9). */
function rankInAdvert(address: Uint8Array): number {
  return isLinkLocal(address) ? 0 : 1;
}
