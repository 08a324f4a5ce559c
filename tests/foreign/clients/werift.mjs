/** werift: WebRTC in TypeScript. It encodes and decodes nothing, so it sends what was encoded before and counts what arrives. */
import { MediaStreamTrack, RTCPeerConnection, useRepairedRtpStreamId, useSdesMid, useSdesRTPStreamId } from "werift";
import { play } from "./media.mjs";
import { serveConnection } from "./standard.mjs";

// With SIMULCAST, what tells layers apart (RFC 8852): it takes any that are offered, but asks for no header extension by itself.
const told = [useSdesMid(), useSdesRTPStreamId(), useRepairedRtpStreamId()];
const connection = new RTCPeerConnection({ iceServers: [], headerExtensions: { video: process.env.SIMULCAST ? told : [] } });
const heard = { audio: 0, video: 0, texts: [], layers: {} };

// Each layer of simulcast has a track of its own, of which the event has the first only.
connection.ontrack = ({ receiver }) => {
  for (const track of receiver.tracks)
    track.onReceiveRtp.subscribe(() => {
      heard[track.kind]++;
      if (track.rid) heard.layers[track.rid] = (heard.layers[track.rid] ?? 0) + 1;
    });
};

function sendMedia() {
  for (const kind of ["audio", "video"]) {
    const track = new MediaStreamTrack({ kind });
    connection.addTrack(track);
    // Payload type and SSRC are the sender's, which replaces them.
    play(kind, { payloadType: 0, ssrc: 0 }, (packet) => track.writeRtp(packet));
  }
}

serveConnection(connection, sendMedia, heard);
