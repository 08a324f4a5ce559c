/**
 * The screen between calls: people, recent calls, settings.
 *
 * @typedef {import("../../client/model.js").Person} Person
 */
import { fill, h, setText } from "../ui/dom.js";
import { avatar } from "../ui/avatar.js";
import { icon } from "../ui/icons.js";
import { createDeviceCheck } from "./devicecheck.js";
import { createOffer } from "./offer.js";
import { createPeople, ghosts } from "./people.js";
import { createTabs } from "./tabs.js";
import { setUnseen } from "../title.js";
import { nameOf, shortName, typeText } from "../ui/names.js";

/**
 * @typedef {Pick<typeof import("../calling.js"), "createRecents" | "createSettings">} HomeParts
 * @typedef {Parameters<typeof createPeople>[0] & Parameters<HomeParts["createRecents"]>[0]
 *   & Parameters<HomeParts["createSettings"]>[0] & Parameters<typeof createOffer>[0] & Parameters<typeof createDeviceCheck>[0]
 *   & {onSignOut: () => void, onTab: (name: string) => void, onTakeOver: () => void}} HomeActions
 */

/** @param {HomeActions} actions */
export function createHome(actions) {
  const who = h("div", { class: "topbar__who", "data-testid": "who" });
  const state = h("span", { class: "muted topbar__state", "data-testid": "my-state" });
  let type = "";
  let isDisturbable = true;
  const signOutText = h("span", { class: "topbar__switch" });
  const signOut = h(
    "button",
    { class: "button button--quiet", type: "button", "data-testid": "sign-out", onclick: actions.onSignOut },
    icon("swap"),
    signOutText,
  );
  const logo = h("img", { src: "icon.svg", alt: "", width: 28, height: 28 });
  const brand = h("span", { class: "topbar__brand" }, logo, h("span", {}, "Call Relay"));
  const title = h("h1", { class: "home__title" });
  const people = createPeople(actions);
  const deviceCheck = createDeviceCheck(actions);
  const [recentsPanel, settingsPanel] = [laterPanel(), laterPanel()];
  /** @type {ReturnType<typeof createRest> | null} what is loaded behind the first screen */
  let rest = null;
  const tabs = createTabs(
    "Sections",
    [
      { name: "people", label: "People", icon: "people", panel: people.element },
      { name: "recents", label: "Recent", icon: "clock", panel: recentsPanel },
      { name: "settings", label: "Settings", icon: "sliders", panel: settingsPanel },
    ],
    actions.onTab,
  );
  const elsewhere = h("p", { class: "takeover__text" });
  const takeOver = h(
    "button",
    { class: "button button--light", type: "button", "data-testid": "take-over", onclick: actions.onTakeOver },
    "Move it here",
  );
  const banner = h(
    "section",
    { class: "takeover", role: "status", hidden: true, "data-testid": "elsewhere" },
    icon("call"),
    elsewhere,
    takeOver,
  );
  const offer = createOffer(actions);
  const element = h(
    "div",
    { class: "home", "data-testid": "home" },
    h("header", { class: "topbar" }, brand, who, signOut),
    h("main", { class: "home__main" }, banner, offer.element, deviceCheck.strip, title, tabs.element, people.element, recentsPanel, settingsPanel),
  );

  function showState() {
    element.toggleAttribute("data-dnd", !isDisturbable);
    setText(state, isDisturbable ? type : "Do not disturb");
  }

  /** @param {HomeParts} parts */
  function createRest({ createRecents, createSettings }) {
    const made = { recents: createRecents(actions), settings: createSettings(actions, deviceCheck.open) };
    fill(recentsPanel, made.recents.element);
    fill(settingsPanel, made.settings.element);
    made.recents.setOnline(element.hasAttribute("data-online"));
    return made;
  }

  return {
    element,
    people,
    tabs,
    get rest() {
      return rest;
    },
    /** @param {HomeParts} parts */
    addRest(parts) {
      rest ??= createRest(parts);
      return rest;
    },
    setOffer: offer.set,
    /** Whether to check camera and sound is still to be offered. */
    refreshDeviceCheck: () => deviceCheck.refresh(),
    /** @param {Person} person @param {string} leaving what the button says that ends it */
    setUser(person, leaving) {
      setText(signOutText, leaving);
      setText(title, `${greeting(new Date().getHours())}, ${shortName(nameOf(person))}`);
      type = typeText(person.type);
      const text = h("span", { class: "topbar__text" }, h("span", { class: "topbar__name", "data-testid": "me" }, nameOf(person)), state);
      fill(who, h("span", { class: "presence" }, avatar(person, "small")), text);
      showState();
    },
    /** @param {boolean} on */
    setDoNotDisturb(on) {
      isDisturbable = !on;
      showState();
    },
    /** @param {number} count missed calls that were not seen yet */
    setUnseen(count) {
      tabs.setBadge("recents", count);
      setUnseen(count);
    },
    /** @param {boolean} online */
    setOnline(online) {
      element.toggleAttribute("data-online", online);
      offer.setOnline(online);
      people.setOnline(online);
      rest?.recents.setOnline(online);
    },
    /**
     * @param {{name: string, lost: boolean, canMove: boolean} | null} call on another device of ours, which may have lost its
     *   connection, or know no way to give the call away
     */
    setElsewhere(call) {
      banner.hidden = call === null;
      if (!call) return;
      takeOver.hidden = !call.canMove;
      const more = call.lost ? ", which has lost its connection" : call.canMove ? "" : ", which can’t give it away";
      setText(elsewhere, `You are in a call with ${call.name} on another device${more}.`);
    },
  };
}

/** A panel whose content has not come yet. */
function laterPanel() {
  return h("div", {}, h("div", { class: "home__list" }, ...ghosts()));
}

/** @param {number} hour */
function greeting(hour) {
  if (hour < 5 || hour >= 18) return "Good evening";
  return hour < 12 ? "Good morning" : "Good afternoon";
}
