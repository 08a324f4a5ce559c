/** Milliseconds between two looks at the incoming video. */
const PERIOD = 1_000;
/** Polls without a new frame until the video counts as paused. One alone may be a slow camera in the dark. */
const PATIENCE = 2;

/**
 * No message says that the other party's camera is off; frames that stop arriving show it.
 *
 * @param {RTCPeerConnection} peerConnection
 * @param {MediaStreamTrack} track of the incoming video
 * @param {(flow: "flowing" | "paused") => void} onChange not called before the first frame
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
    let frames = 0;
    report.forEach((entry) => {
      if (entry.type === "inbound-rtp") frames += entry.framesReceived ?? 0;
    });
    if (frames === 0) return;
    idle = frames > seen ? 0 : idle + 1;
    seen = frames;
    const flow = idle < PATIENCE ? "flowing" : "paused";
    if (flow !== last) onChange((last = flow));
  }, PERIOD);
  return () => {
    stopped = true;
    clearInterval(timer);
  };
}
