/** The page as a whole: which screen is up, what lies on top of it, and where the focus is. */
import { createConnectionBar } from "./call/connectionbar.js";
import { createGate } from "./entrance/gate.js";
import { createHome } from "./home/home.js";
import { createRenewal } from "./entrance/renewal.js";
import { setCall } from "./title.js";
import { createToasts } from "./ui/toasts.js";

/**
 * @typedef {typeof import("./calling.js")} CallParts
 * @typedef {typeof import("./entrance/signin.js").createSignIn} CreateSignIn
 * @typedef {Parameters<CreateSignIn>[0] & Parameters<typeof createHome>[0] & Parameters<CallParts["createIncoming"]>[0]
 *   & Parameters<CallParts["createCallScreen"]>[0] & Parameters<CallParts["createTransferChooser"]>[0]} Actions what the user can
 *   do; `main.js` says what then happens
 */

/**
 * @param {Element} root
 * @param {Actions} actions
 */
export function createShell(root, actions) {
  const gate = createGate();
  const home = createHome(actions);
  const toasts = createToasts();
  const renewal = createRenewal();
  const connection = createConnectionBar();
  /** @type {ReturnType<CreateSignIn> | null} of development mode */
  let signIn = null;
  /** @type {ReturnType<typeof createCalls> | null} none before there can be calls */
  let calls = null;
  // In the order in which they lie on one another. Bar and toasts are never covered.
  const opening = root.querySelector(".opening");
  root.append(gate.element, home.element, renewal.element, connection.element, toasts.element);
  home.element.hidden = true;

  /** @param {CallParts} parts */
  function createCalls({ createCallScreen, createIncoming, createTransferChooser, createRingStrip }) {
    const made = {
      callScreen: createCallScreen(actions),
      incoming: createIncoming(actions),
      transferChooser: createTransferChooser(actions),
    };
    renewal.element.before(made.callScreen.element, made.incoming.element);
    root.append(made.transferChooser.element);
    home.element.append(createRingStrip());
    return made;
  }
  /** @type {Element | null} where the focus was before something covered it */
  let covered = null;

  /** What is covered can neither be clicked nor reached by keyboard, nor is it read out. */
  function arrange() {
    const called = calls !== null && !calls.incoming.element.hidden;
    const inCall = calls !== null && !calls.callScreen.element.hidden;
    for (const element of [signIn?.element, gate.element, home.element]) element?.toggleAttribute("inert", called || inCall);
    if (!called && !inCall && covered instanceof HTMLElement) {
      covered.focus();
      covered = null;
    }
  }

  /** Call before something is put on top. */
  function rememberFocus() {
    if (calls?.callScreen.element.hidden && calls.incoming.element.hidden) covered = document.activeElement;
  }

  return {
    gate,
    home,
    renewal,
    connection,
    toast: toasts.show,
    get signIn() {
      return signIn;
    },
    get calls() {
      return calls;
    },
    /** @param {CreateSignIn} createSignIn */
    addSignIn(createSignIn) {
      if (!signIn) {
        signIn = createSignIn(actions);
        gate.element.before(signIn.element);
      }
      return signIn;
    },
    /**
     * @param {CallParts} parts
     * @param {Promise<void>} styled what `loadStyles` gave
     */
    async addCalls(parts, styled) {
      await styled;
      calls ??= createCalls(parts);
    },
    /** Load the styles that the first screen does without. */
    async loadStyles() {
      const links = [...document.querySelectorAll("link[rel=later]")];
      const loads = links.map((link) => new Promise((resolve) => ["load", "error"].forEach((type) => link.addEventListener(type, resolve))));
      for (const link of links) link.setAttribute("rel", "stylesheet");
      await Promise.all(loads);
    },
    /** @param {"gate" | "signIn" | "home"} name */
    showBase(name) {
      opening?.remove();
      gate.element.hidden = name !== "gate";
      home.element.hidden = name !== "home";
      if (signIn) signIn.element.hidden = name !== "signIn";
    },
    /**
     * Show what there is of calls, or nothing.
     *
     * @param {import("../client/calls/call.js").Call | null} ringing
     * @param {import("./call/callscreen.js").CallView | null} call
     */
    showCalls(ringing, call) {
      if (!calls) return;
      const { callScreen, incoming, transferChooser } = calls;
      if (ringing || call) rememberFocus();
      // What was said before has nothing to do with this call, and would cover it.
      const begins = call && !call.isOver && (callScreen.element.hidden || callScreen.showsEnd);
      if ((ringing && incoming.element.hidden) || begins) toasts.clear();
      callScreen.element.inert = ringing !== null; // first of all: what is inert cannot take the focus
      if (call) callScreen.show(call);
      else if (!callScreen.element.hidden) callScreen.hide();
      if (!call || call.isOver) transferChooser.close();
      else transferChooser.render(call.talk.transferTargets);
      if (ringing && incoming.element.hidden) incoming.show(ringing);
      else if (!ringing) incoming.hide();
      setCall({ ringing: ringing?.other.name ?? "", other: call?.other.name ?? "" });
      arrange();
    },
  };
}
