/*
 * A chat page as it was written for the peer-to-peer backend. It speaks only protocol version 1: it must ignore what the relay
 * adds, so do not extend it.
 *
 *   version_1.html?type=student&id=456&token=TOKEN&to_type=tutor&to_id=789&conversation=123
 *
 * With &data=yes its calls have a data channel too, of which the messages say nothing.
 */
"use strict";

const query = new URLSearchParams(location.search);
const me = { id: Number(query.get("id")), type: query.get("type") };
const other = { id: Number(query.get("to_id")), type: query.get("to_type") };
const conversationId = Number(query.get("conversation"));

const socket = new WebSocket(`ws://${location.host}/ws/${me.id}/${me.type}?token=${query.get("token")}`);

/** What the tests look at. */
const versionOne = {
  received: [],
  /** "idle" | "calling" | "ringing" | "in call" | "declined: REASON" | "ended" */
  state: "connecting",
  peerConnection: null,
  channel: null,
  /** What the data channel brought, oldest first. */
  arrived: [],
  call,
  accept,
  decline,
  end,
};
window.versionOne = versionOne;

let localStream = null;
let invitation = null;
let pendingCandidates = [];

socket.onopen = () => {
  versionOne.state = "idle";
};

socket.onmessage = async (event) => {
  const message = JSON.parse(event.data);
  versionOne.received.push(message);
  switch (message.type) {
    case "call_invitation":
      invitation = message;
      versionOne.state = "ringing";
      break;
    case "call_answer":
      await versionOne.peerConnection.setRemoteDescription(new RTCSessionDescription(message.answer));
      await addPendingCandidates();
      versionOne.state = "in call";
      break;
    case "ice_candidate":
      pendingCandidates.push(message.candidate);
      if (versionOne.peerConnection?.remoteDescription) await addPendingCandidates();
      break;
    case "call_declined":
      cleanUp(`declined: ${message.reason}`);
      break;
    case "call_ended":
      cleanUp("ended");
      break;
  }
};

function send(message) {
  socket.send(JSON.stringify({ conversation_id: conversationId, from_profile_id: me.id, ...message }));
}

async function addPendingCandidates() {
  const candidates = pendingCandidates;
  pendingCandidates = [];
  for (const candidate of candidates) await versionOne.peerConnection.addIceCandidate(candidate);
}

async function createConnection(callType) {
  localStream = await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    video: callType === "video" ? { width: { ideal: 1280 }, height: { ideal: 720 } } : false,
  });
  document.querySelector("[data-testid=local-video]").srcObject = localStream;

  const connection = new RTCPeerConnection();
  versionOne.peerConnection = connection;
  localStream.getTracks().forEach((track) => connection.addTrack(track, localStream));
  connection.ontrack = (event) => {
    document.querySelector("[data-testid=remote-video]").srcObject = event.streams[0];
  };
  connection.ondatachannel = (event) => useChannel(event.channel);
  connection.onicecandidate = (event) => {
    if (!event.candidate) return;
    send({
      type: "ice_candidate",
      to_profile_id: other.id,
      to_profile_type: other.type,
      candidate: event.candidate,
    });
  };
  return connection;
}

function useChannel(channel) {
  channel.binaryType = "arraybuffer";
  channel.onmessage = (event) => versionOne.arrived.push(event.data);
  versionOne.channel = channel;
}

async function call(callType) {
  versionOne.state = "calling";
  const connection = await createConnection(callType);
  if (query.has("data")) useChannel(connection.createDataChannel("chat"));
  const offer = await connection.createOffer();
  await connection.setLocalDescription(offer);
  send({
    type: "call_invitation",
    call_type: callType,
    from_profile_type: me.type,
    from_name: "An old page",
    from_avatar: "",
    to_profile_id: other.id,
    to_profile_type: other.type,
    offer: { type: offer.type, sdp: offer.sdp },
  });
}

async function accept() {
  const connection = await createConnection(invitation.call_type);
  await connection.setRemoteDescription(new RTCSessionDescription(invitation.offer));
  await addPendingCandidates();
  const answer = await connection.createAnswer();
  await connection.setLocalDescription(answer);
  send({
    type: "call_answer",
    to_profile_id: invitation.from_profile_id,
    to_profile_type: invitation.from_profile_type,
    answer: { type: answer.type, sdp: answer.sdp },
  });
  versionOne.state = "in call";
}

function decline() {
  send({
    type: "call_declined",
    to_profile_id: invitation.from_profile_id,
    to_profile_type: invitation.from_profile_type,
    reason: "rejected",
  });
  cleanUp("idle");
}

function end() {
  send({ type: "call_ended", to_profile_id: other.id, to_profile_type: other.type });
  cleanUp("ended");
}

function cleanUp(state) {
  versionOne.state = state;
  localStream?.getTracks().forEach((track) => track.stop());
  versionOne.peerConnection?.close();
  versionOne.peerConnection = null;
  localStream = null;
  invitation = null;
  pendingCandidates = [];
}
