/**
 * The ICE candidates of one call, which wait until the description that they belong to was sent, or has come. No DOM.
 *
 * @typedef {import("../protocol.js").WireCandidate} WireCandidate
 */

export class Candidates {
  #send;
  /** @type {(RTCIceCandidate | null)[] | null} found before the message that they belong to was sent; null: sent */
  #unsent = [];
  /** @type {WireCandidate[] | null} received before the description that they belong to; null: it is there */
  #early = [];

  /** @param {(message: import("../protocol.js").AboutCall) => boolean} send */
  constructor(send) {
    this.#send = send;
  }

  /** Those of a new peer connection wait for its description. */
  begin() {
    this.#unsent ??= [];
  }

  /** Our description was sent: what was found meanwhile may follow. */
  announced() {
    const candidates = this.#unsent ?? [];
    this.#unsent = null;
    candidates.forEach((candidate) => this.found(candidate));
  }

  /** @param {RTCIceCandidate | null} candidate of ours; null: there are no more */
  found(candidate) {
    if (this.#unsent) {
      this.#unsent.push(candidate);
      return;
    }
    // An empty candidate means the end of them just as null does; null is the plainer one.
    const wire = candidate?.candidate
      ? { candidate: candidate.candidate, sdpMid: candidate.sdpMid, sdpMLineIndex: candidate.sdpMLineIndex }
      : null;
    this.#send({ type: "ice_candidate", candidate: wire });
  }

  /** @param {WireCandidate | null} candidate of the other end @param {RTCPeerConnection | null} peerConnection */
  async received(candidate, peerConnection) {
    if (!candidate?.candidate) return;
    if (this.#early) this.#early.push(candidate);
    else await peerConnection?.addIceCandidate(candidate).catch(() => {}); // one bad address is not the end of a call
  }

  /** The description is there that those belong to which came early. @param {RTCPeerConnection | null} peerConnection */
  async described(peerConnection) {
    const candidates = this.#early ?? [];
    this.#early = null;
    for (const candidate of candidates) await this.received(candidate, peerConnection);
  }
}
