/**
 * What happens on the home screen beside calling: it asks the server for what is shown there, and tells it what the user changes. No
 * DOM of its own: it fills the parts that it is given.
 *
 * @typedef {import("../client/model.js").Person} Person
 * @typedef {import("../client/preferences.js").Preferences} Preferences
 * @typedef {ReturnType<typeof import("./home/home.js").createHome>} Home
 */
import { History } from "../client/history.js";
import { PreferenceStore } from "../client/preferences.js";
import { Push } from "./push.js";

const PROBLEM = "That could not be saved. Try again in a moment.";
/** Trying again in the same page would not help: browsers do not ask again for a module that has failed. */
const NOT_LOADED = "This part of the page could not be loaded. Check your connection, and load the page again.";

export class Lobby {
  #home;
  #recents;
  #settings;
  #toast;
  #history;
  #preferences;
  #push;
  #closed = false;
  #missedOnly = false;
  #name = "";
  #now;
  /** @type {ReturnType<History["list"]> | null} the calls that are shown */
  #list = null;
  #unseen = 0;
  /** Whether the user wants to be left alone: nothing is said then that was not asked for. Known once it is `loaded`. */
  doNotDisturb = false;
  /** @type {Promise<unknown>} */
  loaded = Promise.resolve();

  /**
   * @param {import("../client/api.js").Api} api
   * @param {string} base URL that everything of the server is relative to
   * @param {Home} home
   * @param {ReturnType<Home["addRest"]>} rest of the home screen
   * @param {(text: string, tone?: "plain" | "problem") => void} toast
   * @param {() => number} now milliseconds since 1970, by the server's clock
   */
  constructor(api, base, home, rest, toast, now) {
    this.#now = now;
    this.#home = home;
    this.#recents = rest.recents;
    this.#settings = rest.settings;
    this.#toast = toast;
    this.#history = new History(api);
    this.#preferences = new PreferenceStore(api);
    this.#push = new Push(api, base);
  }

  /** Nothing that still comes reaches the screen. */
  close() {
    this.#closed = true;
  }

  /** This browser announces no calls any more, if it did. */
  async forgetPush() {
    await this.#try(() => this.#push.forget());
  }

  load() {
    this.loaded = Promise.all([this.#loadBlocks(), this.#countUnseen(), this.#loadPreferences()]);
    return this.loaded;
  }

  /** @param {string} tab that the user has come to */
  async visit(tab) {
    if (tab === "recents") await this.showCalls(false);
    if (tab === "settings") await Promise.all([this.#loadPart(() => this.#settings.loadMore()), this.#loadSettings()]);
  }

  /** @param {boolean} missed only those @param {string} [name] only calls with such a party; empty: any */
  async showCalls(missed, name = "") {
    this.#missedOnly = missed;
    this.#name = name;
    this.#list = this.#history.list(missed, name);
    await this.showOlder();
  }

  /** @param {string} name */
  async searchCalls(name) {
    await this.showCalls(this.#missedOnly, name);
  }

  /** @param {boolean} missed only those */
  async filterCalls(missed) {
    await this.showCalls(missed, this.#name);
  }

  /** @param {import("../client/history.js").CallName} call whose page is to be shown */
  async openCall(call) {
    await this.#try(
      async () => {
        const detail = await this.#history.detail(call);
        if (!this.#closed) await this.#loadPart(() => this.#recents.open(detail));
      },
      () => this.#toast("The call could not be loaded. Try again in a moment.", "problem"),
    );
  }

  /**
   * @param {import("../client/history.js").CallName} call
   * @param {import("../client/history.js").Rating} rating
   * @returns {Promise<boolean>} whether it is kept
   */
  async rate(call, rating) {
    let isKept = false;
    await this.#try(async () => {
      await this.#history.rate(call, rating);
      isKept = true;
    });
    return isKept;
  }

  async showOlder() {
    const [list, missed, name] = [this.#list, this.#missedOnly, this.#name];
    if (!list) return;
    await this.#try(
      async () => {
        await list.more();
        if (this.#closed || this.#list !== list) return;
        this.#recents.setCalls(list.calls, { missed, name, hasMore: list.hasMore, now: this.#now });
        // On the screen is seen, if it is all there. The marks stay until the list is shown again.
        if (!this.#unseen || document.hidden || name) return;
        await list.markSeen();
        await this.#countUnseen();
      },
      () => this.#recents.setProblem(),
    );
  }

  /** A call has ended, or was missed: what is listed has changed. */
  async callsChanged() {
    await this.#countUnseen();
    if (this.#home.tabs.current === "recents" && !document.hidden) await this.showCalls(this.#missedOnly, this.#name);
  }

  /** @param {number} count unseen missed calls */
  setUnseen(count) {
    this.#unseen = count;
    this.#home.setUnseen(count);
  }

  /** @param {Preferences} preferences */
  async savePreferences(preferences) {
    await this.#try(
      async () => this.#settled(await this.#preferences.write(preferences)),
      () => {
        this.#toast(PROBLEM, "problem");
        void this.#loadSettings();
      },
    );
  }

  /** @param {Person} person @param {boolean} blocked */
  async block(person, blocked) {
    await this.#try(
      async () => {
        await this.#preferences.block(person, blocked);
        await this.#loadBlocks();
        this.#toast(blocked ? `${person.name} can’t call you any more.` : `${person.name} can call you again.`);
      },
      () => this.#toast(PROBLEM, "problem"),
    );
  }

  /** @param {boolean} on */
  async setPush(on) {
    await this.#try(
      async () => this.#settings.setPush(await (on ? this.#push.turnOn() : this.#push.turnOff())),
      () => this.#toast("Notifications could not be changed in this browser.", "problem"),
    );
  }

  async #loadPreferences() {
    await this.#try(
      async () => this.#settled(await this.#preferences.read()),
      () => this.#settings.setPreferences(null),
    );
  }

  /** @param {Preferences} preferences */
  #settled(preferences) {
    if (this.#closed) return;
    this.doNotDisturb = preferences.doNotDisturb;
    this.#home.setDoNotDisturb(preferences.doNotDisturb);
    this.#settings.setPreferences(preferences);
  }

  async #loadSettings() {
    await this.#loadPreferences();
    await this.#loadBlocks();
    await this.#try(async () => this.#settings.setPush(await this.#push.state()));
  }

  async #loadBlocks() {
    await this.#try(async () => {
      const people = await this.#preferences.blocked();
      if (this.#closed) return;
      this.#settings.setBlocked(people);
      this.#home.people.setBlocked(people);
    });
  }

  async #countUnseen() {
    await this.#try(async () => {
      const count = await this.#history.unseen();
      if (!this.#closed) this.setUnseen(count);
    });
  }

  /** @param {() => Promise<void>} load a part of the page that did not come with the rest */
  async #loadPart(load) {
    await this.#try(load, () => this.#toast(NOT_LOADED, "problem"));
  }

  /**
   * What the server cannot do must not break the page.
   *
   * @param {() => Promise<void>} work
   * @param {() => void} [onProblem]
   */
  async #try(work, onProblem) {
    try {
      await work();
    } catch (error) {
      console.info("the server could not do this:", error);
      if (!this.#closed) onProblem?.();
    }
  }
}
