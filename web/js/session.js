/**
 * One signed-in profile with its connection and its calls, and the memory of who that was. No DOM.
 *
 * @typedef {import("./model.js").Person} Person
 * @typedef {import("./model.js").ProfileName} ProfileName
 */
import { Api } from "./api.js";
import { Calls } from "./calls.js";
import { ServerClock } from "./clock.js";
import { keyOf, profileOf } from "./model.js";
import { Connection } from "./protocol.js";

/**
 * @typedef {object} Session
 * @property {Person} person
 * @property {Api} api
 * @property {Connection} connection
 * @property {Calls} calls
 */

/**
 * @param {string} base URL that everything of the server is relative to
 * @param {ProfileName} profile
 * @returns {Promise<Session>} with a connection that is still to be opened
 * @throws {import("./api.js").ApiError}
 */
export async function signIn(base, profile) {
  const api = new Api(base, profile);
  const { person, iceServers } = await api.logIn();
  const connection = new Connection(api.socketUrl, api.token, () => api.renew());
  const calls = new Calls(connection, new ServerClock(), iceServers);
  return { person, api, connection, calls };
}

/** @param {Session} session */
export function close(session) {
  session.calls.leave();
  session.connection.close();
}

/**
 * Who is signed in is remembered per tab, so that two tabs can be two people. The token is not: it is asked for anew, and no
 * storage has it for others to read.
 */
const KEY = "call-relay.profile";

/** @param {ProfileName | null} profile */
export function remember(profile) {
  try {
    if (profile) sessionStorage.setItem(KEY, keyOf(profile));
    else sessionStorage.removeItem(KEY);
  } catch {
    // Storage may be forbidden; then every load of the page starts with the question.
  }
}

/** @returns {ProfileName | null} */
export function remembered() {
  try {
    return profileOf(sessionStorage.getItem(KEY));
  } catch {
    return null;
  }
}
