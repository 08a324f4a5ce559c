/**
 * The page as a whole: which screen is up, what lies on top of it, and where the focus is.
 *
 * @typedef {import("../model.js").Person} Person
 * @typedef {import("../model.js").CallKind} CallKind
 */
import { createCallScreen } from "./callscreen.js";
import { createConnectionBar } from "./connectionbar.js";
import { createHome } from "./home.js";
import { createIncoming } from "./incoming.js";
import { createSignIn } from "./signin.js";
import { createToasts } from "./toasts.js";
import { createTransferChooser } from "./transfer.js";

const TITLE = "Call Relay";

/**
 * @typedef {Parameters<typeof createSignIn>[0] & Parameters<typeof createHome>[0] & Parameters<typeof createIncoming>[0]
 *   & Parameters<typeof createCallScreen>[0] & Parameters<typeof createTransferChooser>[0]} Actions what the user can do;
 *   `main.js` says what then happens
 */

/**
 * @param {Element} root
 * @param {Actions} actions
 */
export function createShell(root, actions) {
  const signIn = createSignIn(actions);
  const home = createHome(actions);
  const callScreen = createCallScreen(actions);
  const incoming = createIncoming(actions);
  const transferChooser = createTransferChooser(actions);
  const toasts = createToasts();
  const connection = createConnectionBar();
  // In the order in which they lie on one another. Bar and toasts are never covered.
  root.replaceChildren(
    signIn.element,
    home.element,
    callScreen.element,
    incoming.element,
    connection.element,
    toasts.element,
    transferChooser.element,
  );
  signIn.element.hidden = home.element.hidden = true;
  /** @type {Element | null} where the focus was before something covered it */
  let covered = null;

  /** What is covered can neither be clicked nor reached by keyboard, nor is it read out. */
  function arrange() {
    const called = !incoming.element.hidden;
    const inCall = !callScreen.element.hidden;
    signIn.element.inert = home.element.inert = called || inCall;
    if (!called && !inCall && covered instanceof HTMLElement) {
      covered.focus();
      covered = null;
    }
  }

  /** Call before something is put on top. */
  function rememberFocus() {
    if (callScreen.element.hidden && incoming.element.hidden) covered = document.activeElement;
  }

  return {
    signIn,
    home,
    connection,
    transferChooser,
    toast: toasts.show,
    /** @param {"signIn" | "home"} name */
    showBase(name) {
      signIn.element.hidden = name !== "signIn";
      home.element.hidden = name !== "home";
    },
    /**
     * Show what there is of calls, or nothing.
     *
     * @param {{other: Person, kind: CallKind, willBeRecorded: boolean} | null} ringing
     * @param {import("./callscreen.js").CallView | null} call
     */
    showCalls(ringing, call) {
      if (ringing || call) rememberFocus();
      callScreen.element.inert = ringing !== null; // first of all: what is inert cannot take the focus
      if (call) callScreen.show(call);
      else if (!callScreen.element.hidden) callScreen.hide();
      if (!call || call.isOver) transferChooser.close();
      if (ringing && incoming.element.hidden) incoming.show(ringing.other, ringing.kind, ringing.willBeRecorded);
      else if (!ringing) incoming.hide();
      document.title = ringing ? `${ringing.other.name} is calling…` : call ? `${call.other.name} · ${TITLE}` : TITLE;
      arrange();
    },
  };
}
