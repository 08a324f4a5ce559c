/**
 * Which section of a call's description carries what: the first of audio is the microphone's, the second the screen's; the first of
 * video is the camera's, the second the screen's, for either party. Sections stay once they are there, and tracks come and go in
 * them, so that only the first camera and the first screen of a call need an offer.
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
  return sectionsOf(peerConnection, "video");
}

/**
 * The audio section of the screen, if there is one.
 *
 * @param {RTCPeerConnection} peerConnection
 * @returns {RTCRtpTransceiver[]}
 */
export function screenAudioSections(peerConnection) {
  return sectionsOf(peerConnection, "audio").slice(1);
}

/** @param {RTCPeerConnection} peerConnection @param {"audio" | "video"} kind */
function sectionsOf(peerConnection, kind) {
  return peerConnection.getTransceivers().filter(({ receiver, direction, currentDirection }) => {
    return receiver.track.kind === kind && direction !== "stopped" && currentDirection !== "stopped";
  });
}

/**
 * Make room for the camera and the screen that we send.
 *
 * @param {RTCPeerConnection} peerConnection
 * @param {LocalMedia} media
 */
export function addSections(peerConnection, { camera, screen, screenAudio, stream }) {
  const needed = screen ? 2 : camera ? 1 : 0;
  for (let index = videoSections(peerConnection).length; index < needed; index++) {
    const belongsTo = index === 0 ? stream : screen && new MediaStream([screen]);
    peerConnection.addTransceiver("video", { direction: "sendrecv", streams: belongsTo ? [belongsTo] : [] });
  }
  if (screenAudio && !screenAudioSections(peerConnection).length) {
    peerConnection.addTransceiver("audio", { direction: "sendrecv", streams: screen ? [new MediaStream([screen])] : [] });
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
 * The section of audio.
 *
 * @param {RTCPeerConnection} peerConnection
 * @returns {RTCRtpTransceiver | undefined}
 */
export function audioSection(peerConnection) {
  return peerConnection.getTransceivers().find(({ receiver, currentDirection }) => {
    return receiver.track.kind === "audio" && currentDirection !== "stopped";
  });
}

/**
 * Put each track into its section.
 *
 * @param {RTCPeerConnection} peerConnection
 * @param {LocalMedia} media
 * @returns {Promise<boolean>} whether it takes an offer for all of them to be sent
 */
export async function fillSections(peerConnection, { microphone, camera, screen, screenAudio }) {
  if (peerConnection.signalingState === "closed") return false;
  const audio = audioSection(peerConnection);
  if (audio && audio.sender.track !== microphone) await audio.sender.replaceTrack(microphone);
  /** @type {[RTCRtpTransceiver, MediaStreamTrack | null][]} */
  const filled = [];
  videoSections(peerConnection).forEach((section, index) => filled.push([section, [camera, screen][index] ?? null]));
  screenAudioSections(peerConnection).forEach((section, index) => filled.push([section, index ? null : screenAudio]));
  let lacking = false;
  for (const [section, track] of filled) {
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
