/** Milliseconds between two looks at the incoming video. */
const PERIOD = 1_000;
/** Looks without a new picture until the video counts as paused. One alone may be a slow camera in the dark. */
const PATIENCE = 2;

/**
 * Nothing on the wire says that the other party's camera is off, but pictures that stop coming do.
 *
 * @param {RTCPeerConnection} peerConnection
 * @param {MediaStreamTrack} track of the incoming video
 * @param {(flow: "flowing" | "paused") => void} onChange not called before the first picture
 * @returns {() => void} ends the watch
 */
export function watchVideo(peerConnection, track, onChange) {
  let seen = 0;
  let idle = 0;
  let last = "none";
  let stopped = false;
  const timer = setInterval(async () => {
    const report = await peerConnection.getStats(track).catch(() => null); // closed meanwhile
    if (!report || stopped) return;
    let pictures = 0;
    report.forEach((entry) => {
      if (entry.type === "inbound-rtp") pictures += entry.framesReceived ?? 0;
    });
    if (pictures === 0) return;
    idle = pictures > seen ? 0 : idle + 1;
    seen = pictures;
    const flow = idle < PATIENCE ? "flowing" : "paused";
    if (flow !== last) onChange((last = flow));
  }, PERIOD);
  return () => {
    stopped = true;
    clearInterval(timer);
  };
}
