/** libwebrtc, as @roamhq/wrtc binds it for Node: encodes and decodes like a browser. */
import wrtc from "@roamhq/wrtc";
import { serveConnection } from "./standard.mjs";

const { RTCPeerConnection, MediaStream, nonstandard } = wrtc;
const { RTCAudioSource, RTCVideoSource, RTCAudioSink, RTCVideoSink } = nonstandard;
const [WIDTH, HEIGHT, SAMPLES] = [320, 240, 480];

const connection = new RTCPeerConnection();
const heard = { audio: 0, video: 0, texts: [] };
/** What would be collected as garbage while it is in use. */
const sinks = [];

connection.ontrack = ({ track }) => {
  const sink = track.kind === "audio" ? new RTCAudioSink(track) : new RTCVideoSink(track);
  sink[track.kind === "audio" ? "ondata" : "onframe"] = () => heard[track.kind]++;
  sinks.push(sink);
};

function sendMedia() {
  const [audio, video] = [new RTCAudioSource(), new RTCVideoSource()];
  const stream = new MediaStream();
  for (const source of [audio, video]) connection.addTrack(source.createTrack(), stream);
  let time = 0;
  setInterval(() => {
    const samples = Int16Array.from({ length: SAMPLES }, () => 12_000 * Math.sin((2 * Math.PI * 440 * time++) / 48_000));
    audio.onData({ samples, sampleRate: 48_000, bitsPerSample: 16, channelCount: 1, numberOfFrames: SAMPLES });
  }, 10);
  let luma = 0;
  setInterval(() => {
    const data = new Uint8ClampedArray(WIDTH * HEIGHT * 1.5).fill(128);
    data.fill((luma += 4) & 0xff, 0, WIDTH * HEIGHT);
    video.onFrame({ width: WIDTH, height: HEIGHT, data });
  }, 50);
}

serveConnection(connection, sendMedia, heard);
