/** What clients have in common whose peer connection has the W3C's interface. */
import { serve } from "./lines.mjs";

/**
 * Carry out the test's commands with a peer connection.
 *
 * @param {RTCPeerConnection} connection
 * @param {() => void} sendMedia adds a track of audio and one of video to it
 * @param {{audio: number, video: number, texts: string[]}} heard what has arrived; the caller counts the media
 */
export function serveConnection(connection, sendMedia, heard) {
  let channel = null;
  connection.ondatachannel = (event) => use(event.channel);

  function use(opened) {
    channel = opened;
    channel.onmessage = ({ data }) => heard.texts.push(String(data));
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
}
