/** werift: WebRTC in TypeScript. It encodes and decodes nothing, so it sends what was encoded before and counts what arrives. */
import { MediaStreamTrack, RTCPeerConnection } from "werift";
import { serve } from "./lines.mjs";
import { play } from "./media.mjs";

const connection = new RTCPeerConnection({ iceServers: [] });
const heard = { audio: 0, video: 0, texts: [] };
let channel = null;

connection.onTrack.subscribe((track) => track.onReceiveRtp.subscribe(() => heard[track.kind]++));
connection.onDataChannel.subscribe(use);

function use(opened) {
  channel = opened;
  channel.onMessage.subscribe((data) => heard.texts.push(String(data)));
}

function sendMedia() {
  for (const kind of ["audio", "video"]) {
    const track = new MediaStreamTrack({ kind });
    connection.addTrack(track);
    // Payload type and SSRC are the sender's, which replaces them.
    play(kind, { payloadType: 0, ssrc: 0 }, (packet) => track.writeRtp(packet));
  }
}

function described() {
  const { type, sdp } = connection.localDescription;
  return { type, sdp };
}

serve({
  async offer() {
    sendMedia();
    use(connection.createDataChannel("chat"));
    await connection.setLocalDescription(await connection.createOffer());
    return described();
  },
  async answer({ offer }) {
    await connection.setRemoteDescription(offer);
    sendMedia();
    await connection.setLocalDescription(await connection.createAnswer());
    return described();
  },
  accept: ({ answer }) => connection.setRemoteDescription(answer),
  send({ text }) {
    if (channel?.readyState !== "open") return { sent: false };
    channel.send(text);
    return { sent: true };
  },
  heard: () => heard,
});
