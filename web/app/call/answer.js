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
  if (!addsVideo) return;
  await connected(call); // the other side has more to do than to take another offer
  if (call.isAnswered) await change((one) => one.toggleCamera(), "camera");
}

/** Wait until a call is connected, or over. @param {Call} call @returns {Promise<void>} */
function connected(call) {
  return new Promise((resolve) => {
    const look = () => {
      if (!call.isOver && !call.leg.isConnected) return;
      call.removeEventListener("change", look);
      resolve();
    };
    call.addEventListener("change", look);
    look();
  });
}
