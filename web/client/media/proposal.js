/**
 * An offer of ours in mid-call, and what becomes of it.
 *
 * @typedef {"rejected" | "update_timeout" | "unsupported" | "offline" | "gone" | string} UpdateProblem `gone`: the call ended;
 *   others are the server's codes.
 *
 * @typedef {object} Proposal An offer of ours in mid-call.
 * @property {string} ref
 * @property {boolean} music Whether it says that we send music.
 * @property {Promise<"accepted" | "overtaken" | UpdateProblem>} settled
 * @property {(result: "accepted" | "overtaken" | UpdateProblem) => void} settle
 */
import { newId } from "../model.js";

/** The other party, or the server, does not take what we proposed. */
export class UpdateFailed extends Error {
  /** @param {UpdateProblem} problem */
  constructor(problem) {
    super(`call_update: ${problem}`);
    this.problem = problem;
  }
}

/** @param {boolean} music @returns {Proposal} */
export function newProposal(music) {
  /** @type {Proposal["settle"]} */
  let settle = () => {};
  const settled = /** @type {Proposal["settled"]} */ (new Promise((resolve) => (settle = resolve)));
  return { ref: newId(), music, settled, settle };
}

/** Take our offer out of a peer connection again; its sections stay. @param {RTCPeerConnection | null} peerConnection */
export async function takeBack(peerConnection) {
  if (peerConnection?.signalingState === "have-local-offer") await peerConnection.setLocalDescription({ type: "rollback" });
}
