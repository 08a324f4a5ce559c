/** libdatachannel, as node-datachannel binds it: C++, neither a browser's code nor an encoder. */
import library from "node-datachannel";
import { serve } from "./lines.mjs";
import { play } from "./media.mjs";

const SSRC = { audio: 1111, video: 2222 };

// The answer is made when it is asked for, behind tracks that are ready to send.
const connection = new library.PeerConnection("relay-test", { iceServers: [], disableAutoNegotiation: true });
const heard = { audio: 0, video: 0, texts: [] };
/** What would be collected as garbage while it is in use. */
const kept = [];
let channel = null;

connection.onDataChannel(use);

function use(opened) {
  channel = opened;
  channel.onMessage((data) => heard.texts.push(String(data)));
}

/**
 * @param {"audio" | "video"} kind
 * @param {string} mid
 * @param {number} payloadType
 */
function addTrack(kind, mid, payloadType) {
  const media = kind === "audio" ? new library.Audio(mid, "SendRecv") : new library.Video(mid, "SendRecv");
  kind === "audio" ? media.addOpusCodec(payloadType) : media.addVP8Codec(payloadType);
  media.addSSRC(SSRC[kind], "foreign", "stream", kind);
  const track = connection.addTrack(media);
  // RFC 5761 section 4: second bytes from 192 to 223 are RTCP's.
  track.onMessage((packet) => (packet[1] < 192 || packet[1] > 223) && heard[kind]++);
  track.onOpen(() => play(kind, { payloadType, ssrc: SSRC[kind] }, (packet) => track.isOpen() && track.sendMessageBinary(packet)));
  kept.push(media, track);
}

/** The description, once it is made. It needs no candidates: the relay is ICE-lite. */
function described(type) {
  return new Promise((resolve) => {
    connection.onLocalDescription((sdp, made) => resolve({ type: made, sdp }));
    connection.setLocalDescription(type);
  });
}

serve({
  offer() {
    addTrack("audio", "0", 111);
    addTrack("video", "1", 96);
    use(connection.createDataChannel("chat"));
    return described("offer");
  },
  answer({ offer }) {
    for (const section of offer.sdp.split(/^(?=m=)/m).slice(1)) {
      const kind = /^m=(\w+)/.exec(section)[1];
      const payloadType = /^a=rtpmap:(\d+) (?:opus|VP8)\//im.exec(section)?.[1];
      if (payloadType) addTrack(kind, /^a=mid:(\S+)/m.exec(section)[1], Number(payloadType));
    }
    connection.setRemoteDescription(offer.sdp, offer.type);
    return described("answer");
  },
  accept({ answer }) {
    connection.setRemoteDescription(answer.sdp, answer.type);
  },
  send({ text }) {
    if (!channel?.isOpen()) return { sent: false };
    channel.sendMessage(text);
    return { sent: true };
  },
  heard: () => heard,
});
