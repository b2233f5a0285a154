// The gateway's clock as seen from here, so that a frame's age means something although two hosts' clocks differ.

/** Page time, ms since the UNIX epoch, with fractions. */
export const now = () => performance.timeOrigin + performance.now();

const PINGS_KEPT = 8;

/** The gateway's clock against ours, from the fastest of the last pings: half its round trip bounds the error. */
export class Clock {
  #asked = new Map(); // id -> page time, ms
  #measured = []; // {roundTrip, ahead}, ms; newest last
  #next = 0;

  /** The best estimate: round trip and how far the gateway's clock is ahead, ms; `null` before the first pong. */
  get estimate() {
    return this.#measured.reduce((best, one) => (best && best.roundTrip <= one.roundTrip ? best : one), null);
  }

  /** A ping is sent at page time `time`; returns its id. */
  asked(time) {
    if (this.#asked.size >= PINGS_KEPT) this.#asked.clear(); // Unanswered: of connections that are gone.
    const id = `ping ${(this.#next += 1)}`;
    this.#asked.set(id, time);
    return id;
  }

  /** Its pong came at page time `time`, with the gateway's stamp (text, ns). */
  answered(id, time, stamp) {
    const asked = this.#asked.get(id);
    if (asked === undefined) return;
    this.#asked.delete(id);
    this.#measured.push({ roundTrip: time - asked, ahead: Number(stamp) / 1e6 - (asked + time) / 2 });
    if (this.#measured.length > PINGS_KEPT) this.#measured.shift();
  }

  /** Whether there are as many measurements as are kept. */
  get settled() {
    return this.#measured.length === PINGS_KEPT;
  }
}
