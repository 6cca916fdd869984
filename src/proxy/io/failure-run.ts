/** Failures of a server's connections, one after the other, as a worker sees them. */
export class FailureRun {
  #failures = 0;
  #reason = '';
  #isNews = false;

  /** `reason`: "ECONNREFUSED", "connect timeout", "reset". */
  fail(reason: string): void {
    this.#failures++;
    this.#reason = reason;
    this.#isNews = true;
  }

  succeed(): void {
    if (this.#failures === 0) return;
    this.#failures = 0;
    this.#isNews = true;
  }

  /** As if nothing had been; nobody is told. */
  forget(): void {
    this.#failures = 0;
    this.#isNews = false;
  }

  /** How many there are now; undefined if that has been told. */
  take(): { readonly failures: number; readonly reason: string } | undefined {
    if (!this.#isNews) return undefined;
    this.#isNews = false;
    return { failures: this.#failures, reason: this.#reason };
  }
}
