/**
 * Which section of a call's description carries what: one of audio; the first of video is the camera's, the second the
 * screen's, for either party. Sections stay once they are there, and tracks come and go in them, so that only the first camera
 * and the first screen of a call need an offer.
 *
 * @typedef {import("./localmedia.js").LocalMedia} LocalMedia
 */

/**
 * The video sections that are in use, in their order.
 *
 * @param {RTCPeerConnection} peerConnection
 * @returns {RTCRtpTransceiver[]}
 */
export function videoSections(peerConnection) {
  return peerConnection.getTransceivers().filter(({ receiver, direction, currentDirection }) => {
    return receiver.track.kind === "video" && direction !== "stopped" && currentDirection !== "stopped";
  });
}

/**
 * Make room for the camera and the screen that we send.
 *
 * @param {RTCPeerConnection} peerConnection
 * @param {LocalMedia} media
 */
export function addSections(peerConnection, { camera, screen, stream }) {
  const needed = screen ? 2 : camera ? 1 : 0;
  for (let index = videoSections(peerConnection).length; index < needed; index++) {
    const belongsTo = index === 0 ? stream : screen && new MediaStream([screen]);
    peerConnection.addTransceiver("video", { direction: "sendrecv", streams: belongsTo ? [belongsTo] : [] });
  }
}

/**
 * Whether it takes an offer to send the camera, or the screen.
 *
 * @param {RTCPeerConnection} peerConnection
 * @param {0 | 1} index of the camera's section, or the screen's
 */
export function lacksSection(peerConnection, index) {
  return !videoSections(peerConnection)[index]?.currentDirection?.startsWith("send");
}

/**
 * Put each track into its section.
 *
 * @param {RTCPeerConnection} peerConnection
 * @param {LocalMedia} media
 * @returns {Promise<boolean>} whether it takes an offer for all of them to be sent
 */
export async function fillSections(peerConnection, { camera, screen }) {
  if (peerConnection.signalingState === "closed") return false;
  let lacking = false;
  for (const [index, section] of videoSections(peerConnection).entries()) {
    const track = [camera, screen][index] ?? null;
    if (section.sender.track !== track) await section.sender.replaceTrack(track);
    if (track && !section.direction.startsWith("send")) section.direction = "sendrecv";
    lacking ||= section.mid === null || (track !== null && !section.currentDirection?.startsWith("send"));
  }
  return lacking;
}

/**
 * Keep the video of a section back, or let it go again: neither the track nor the description changes.
 *
 * @param {RTCPeerConnection} peerConnection
 * @param {0 | 1} index of the camera's section, or the screen's
 * @param {boolean} sending
 */
export async function setSending(peerConnection, index, sending) {
  const sender = peerConnection.signalingState === "closed" ? undefined : videoSections(peerConnection)[index]?.sender;
  const parameters = sender?.getParameters();
  const encodings = parameters?.encodings ?? [];
  if (!sender || !parameters || !encodings.some(({ active = true }) => active !== sending)) return;
  for (const encoding of encodings) encoding.active = sending;
  await sender.setParameters(parameters).catch(() => {}); // closed meanwhile, or changed by a negotiation, which comes back here
}
