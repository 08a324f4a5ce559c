/**
 * Answering a call as voice or as video, whatever the caller has offered.
 *
 * @typedef {import("../../client/calls/call.js").Call} Call
 */

/**
 * @param {Call | null} call
 * @param {import("../../client/model.js").CallKind | undefined} kind that the user wants; the caller's, if not said
 * @param {(step: (call: Call) => Promise<void>, input: "camera") => Promise<void>} change says what fails of a step
 */
export async function answer(call, kind, change) {
  // The caller of a voice call has offered no video: it is answered as it is, and ours comes by an offer of our own.
  const addsVideo = call?.kind === "voice" && kind === "video";
  await call?.accept(addsVideo ? "voice" : kind);
  if (addsVideo && call.isAnswered) await change((one) => one.toggleCamera(), "camera");
}
