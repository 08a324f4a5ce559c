/**
 * One signed-in profile with its connection and its calls. No DOM.
 *
 * @typedef {import("./api.js").Api} Api
 * @typedef {import("./model.js").Person} Person
 */
import { Calls } from "./calls/calls.js";
import { ServerClock } from "./clock.js";
import { Connection } from "./connection.js";
import { IceServers } from "./iceservers.js";
import { claimDevice, rememberCall, rememberDevice, rememberedCall, rememberedDevice } from "./memory.js";
import { keyOf } from "./model.js";

/**
 * @typedef {object} Session
 * @property {Person} person
 * @property {Api} api
 * @property {Connection} connection
 * @property {Calls} calls
 * @property {ServerClock} clock
 */

/**
 * @param {Api} api of a profile that is signed in
 * @param {import("./credentials.js").Credentials} credentials its
 * @param {RTCIceServer[]} iceServers that it was told when it signed in
 * @returns {Promise<Session>} with a connection that is still to be opened
 */
export async function openSession(api, credentials, iceServers) {
  const person = /** @type {Person} */ (credentials.person);
  const owner = keyOf(person);
  const kept = rememberedDevice(owner);
  const device = kept && (await claimDevice(kept.token)) ? kept : null;
  let claimed = device?.token;
  const connection = new Connection({
    url: api.socketUrl,
    token: () => credentials.token,
    renew: () => credentials.renew("refused"),
    device: device && { token: device.token, lastSeq: device.lastSeq },
    remember: (next) => {
      rememberDevice(next && { ...next, owner });
      if (next && next.token !== claimed) void claimDevice((claimed = next.token));
    },
  });
  const clock = new ServerClock();
  const calls = new Calls({
    connection,
    clock,
    iceServers: new IceServers(api, iceServers),
    remembered: device && rememberedCall(owner), // a duplicated tab has the memory, but the call is the other's
    remember: (call) => rememberCall(call && { ...call, owner }),
  });
  return { person, api, connection, calls, clock };
}

/** @param {Session} session */
export function close(session) {
  session.calls.current?.end();
  session.connection.close();
}
