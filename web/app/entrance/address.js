/**
 * What the address of the page says behind its `#`: a token to sign in with, and what is to be done. Browsers send no server that
 * part of an address.
 *
 * @typedef {import("../../client/model.js").CallKind} CallKind
 * @typedef {import("../../client/model.js").Scope} Scope
 *
 * @typedef {{action: "call", scope: Scope, kind: CallKind} | {action: "answer", callId: string}} Intent
 */

/**
 * Take the token and the intent out of the address. The token is gone from it at once, and from the history; the intent once it
 * is done (`forgetIntent`): a page that is loaded again, or comes back from signing in, has it still.
 *
 * @returns {{token: string, intent: Intent | null}}
 */
export function takeAddress() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const token = parts.get("token") ?? "";
  const intent = intentIn(parts);
  if (token) history.replaceState(history.state, "", `${location.pathname}${location.search}${intent ? `#${textOf(intent)}` : ""}`);
  return { token, intent };
}

/** The intent is done, or given up. */
export function forgetIntent() {
  if (intentIn(new URLSearchParams(location.hash.slice(1)))) {
    history.replaceState(history.state, "", `${location.pathname}${location.search}`);
  }
}

/**
 * The platform's page for signing in, which leads back here.
 *
 * @param {string} signInUrl
 * @param {string} base URL of this page
 * @param {Intent | null} intent what is to be done then
 * @returns {string} empty: there is none
 */
export function signInLink(signInUrl, base, intent) {
  if (!signInUrl) return "";
  const url = new URL(signInUrl, base);
  if (url.protocol !== "https:" && url.protocol !== "http:") return "";
  // Made of what is known of this page, not of its address: nothing that a link has put there gets to the platform.
  url.searchParams.set("return_to", `${base}${intent ? `#${textOf(intent)}` : ""}`);
  return url.href;
}

/**
 * @param {URLSearchParams} parts
 * @returns {Intent | null}
 */
function intentIn(parts) {
  const callId = parts.get("answer") ?? "";
  if (/^[0-9A-Za-z_-]{1,64}$/.test(callId)) return { action: "answer", callId };
  const match = /^(conversation|whiteboard_session)\/([1-9][0-9]{0,9})$/.exec(parts.get("call") ?? "");
  if (!match) return null;
  const scope = { kind: /** @type {Scope["kind"]} */ (match[1]), id: Number(match[2]) };
  return { action: "call", scope, kind: parts.get("kind") === "voice" ? "voice" : "video" };
}

/** @param {Intent} intent */
function textOf(intent) {
  return intent.action === "answer" ? `answer=${intent.callId}` : `call=${intent.scope.kind}/${intent.scope.id}&kind=${intent.kind}`;
}
