/** werift: WebRTC in TypeScript. It encodes and decodes nothing, so it sends what was encoded before and counts what arrives. */
import { MediaStreamTrack, RTCPeerConnection } from "werift";
import { play } from "./media.mjs";
import { serveConnection } from "./standard.mjs";

const connection = new RTCPeerConnection({ iceServers: [] });
const heard = { audio: 0, video: 0, texts: [] };

connection.onTrack.subscribe((track) => track.onReceiveRtp.subscribe(() => heard[track.kind]++));

function sendMedia() {
  for (const kind of ["audio", "video"]) {
    const track = new MediaStreamTrack({ kind });
    connection.addTrack(track);
    // Payload type and SSRC are the sender's, which replaces them.
    play(kind, { payloadType: 0, ssrc: 0 }, (packet) => track.writeRtp(packet));
  }
}

serveConnection(connection, sendMedia, heard);
