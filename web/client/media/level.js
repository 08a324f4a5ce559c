/** How loud a microphone is. No DOM. */

/** Milliseconds between two looks. */
const PERIOD = 80;
/** Decibels below full scale that count as silence. */
const FLOOR = 60;

/**
 * @param {MediaStreamTrack} track of audio
 * @param {(level: number) => void} onLevel from 0, silence, to 1, as loud as it gets
 * @returns {() => void} ends the watch
 */
export function watchLevel(track, onLevel) {
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 1024 });
  const source = context.createMediaStreamSource(new MediaStream([track]));
  source.connect(analyser);
  if (context.state === "suspended") context.resume().catch(() => {});
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    const decibels = 10 * Math.log10(power || 1e-12);
    onLevel(Math.min(1, Math.max(0, 1 + decibels / FLOOR)));
  }, PERIOD);
  return () => {
    clearInterval(timer);
    source.disconnect();
    context.close().catch(() => {});
  };
}
