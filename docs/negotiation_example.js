/** Changing a call (docs/protocol.md): `send` sends a message about it, `receive` takes each `call_update` and `error` in turn. */
export const negotiation = (connection, send, ours = null) => ({
  async offer() {
    await connection.setLocalDescription();
    send({ type: "call_update", ref: (ours = `offer ${performance.now()}`), offer: connection.localDescription });
  },
  async receive({ type, offer, answer, rejected, expired, update_id, ref }) {
    const waiting = ours !== null;
    const failed = waiting && (rejected || (type === "error" && ref === ours)); // whatever the error's code is
    if (offer || answer || failed) ours = null;
    if (offer) await connection.setRemoteDescription(offer); // if ours waits, this has overtaken it and rolls it back: no error comes
    if (offer) await connection.setLocalDescription();
    if (offer) send({ type: "call_update", update_id, answer: connection.localDescription });
    if (answer && waiting) await connection.setRemoteDescription(answer);
    if (failed) await connection.setLocalDescription({ type: "rollback" });
    if (expired && connection.signalingState === "have-remote-offer") await connection.setRemoteDescription({ type: "rollback" });
  },
});
