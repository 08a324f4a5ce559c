/**
 * What happens on the home screen: it asks the server for what is shown there, and tells it what the user changes. No DOM of its
 * own: it fills the parts that it is given.
 *
 * @typedef {import("../client/model.js").Contact} Contact
 * @typedef {import("../client/model.js").Person} Person
 * @typedef {import("../client/preferences.js").Preferences} Preferences
 * @typedef {ReturnType<typeof import("./home/home.js").createHome>} Home
 */
import { History } from "../client/history.js";
import { keyOf, sameScope } from "../client/model.js";
import { PreferenceStore } from "../client/preferences.js";
import { Push } from "./push.js";

const PROBLEM = "That could not be saved. Try again in a moment.";

export class Lobby {
  #api;
  #home;
  #toast;
  #history;
  #preferences;
  #push;
  #closed = false;
  /** @type {Contact[]} */
  #contacts = [];
  /** @type {Contact[]} those of conversations, and of whiteboards */
  #reachable = [];
  #missedOnly = false;
  /** @type {ReturnType<History["list"]> | null} the calls that are shown */
  #list = null;
  #unseen = 0;

  /**
   * @param {import("../client/api.js").Api} api
   * @param {string} base URL that everything of the server is relative to
   * @param {Home} home
   * @param {(text: string, tone?: "plain" | "problem") => void} toast
   */
  constructor(api, base, home, toast) {
    this.#api = api;
    this.#home = home;
    this.#toast = toast;
    this.#history = new History(api);
    this.#preferences = new PreferenceStore(api);
    this.#push = new Push(api, base);
  }

  /** Nothing that still comes reaches the screen. */
  close() {
    this.#closed = true;
  }

  /** @returns {Person[]} everyone who can be called, once each */
  get people() {
    return [...new Map(this.#contacts.map(({ other }) => [keyOf(other), other])).values()];
  }

  /** @param {import("../client/model.js").Scope} scope @returns {Contact | null} null: the user has no such conversation */
  contactIn(scope) {
    return this.#reachable.find((contact) => sameScope(contact.scope, scope)) ?? null;
  }

  /** This browser announces no calls any more, if it did. */
  async forgetPush() {
    await this.#try(() => this.#push.forget());
  }

  async load() {
    this.#home.people.setLoading();
    await this.#try(
      async () => {
        // Conversations are what the page is for; without whiteboards it is still worth having.
        const boards = this.#api.whiteboards().catch(() => []);
        const [conversations, whiteboards] = await Promise.all([this.#api.conversations(), boards]);
        if (this.#closed) return;
        this.#contacts = conversations;
        this.#reachable = [...conversations, ...whiteboards];
        this.#home.people.setContacts(conversations, whiteboards);
      },
      () => this.#home.people.setProblem(),
    );
    await Promise.all([this.#loadBlocks(), this.#countUnseen()]);
  }

  /** @param {string} tab that the user has come to */
  async visit(tab) {
    if (tab === "recents") await this.showCalls(false);
    if (tab === "settings") await this.#loadSettings();
  }

  /** @param {boolean} missed only those */
  async showCalls(missed) {
    this.#missedOnly = missed;
    this.#list = this.#history.list(missed);
    await this.showOlder();
  }

  async showOlder() {
    const [list, missed] = [this.#list, this.#missedOnly];
    if (!list) return;
    await this.#try(
      async () => {
        await list.more();
        if (this.#closed || this.#list !== list) return;
        this.#home.recents.setCalls(list.calls, { missed, hasMore: list.hasMore });
        // On the screen is seen. The marks stay until the list is shown again.
        if (!this.#unseen || document.hidden) return;
        await list.markSeen();
        await this.#countUnseen();
      },
      () => this.#home.recents.setProblem(),
    );
  }

  /** A call has ended, or was missed: what is listed has changed. */
  async callsChanged() {
    await this.#countUnseen();
    if (this.#home.tabs.current === "recents" && !document.hidden) await this.showCalls(this.#missedOnly);
  }

  /** @param {number} count unseen missed calls */
  setUnseen(count) {
    this.#unseen = count;
    this.#home.tabs.setBadge("recents", count);
  }

  /** @param {Preferences} preferences */
  async savePreferences(preferences) {
    await this.#try(
      async () => this.#home.settings.setPreferences(await this.#preferences.write(preferences)),
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
      async () => this.#home.settings.setPush(await (on ? this.#push.turnOn() : this.#push.turnOff())),
      () => this.#toast("Notifications could not be changed in this browser.", "problem"),
    );
  }

  async #loadSettings() {
    await this.#try(
      async () => this.#home.settings.setPreferences(await this.#preferences.read()),
      () => this.#home.settings.setPreferences(null),
    );
    await this.#loadBlocks();
    await this.#try(async () => this.#home.settings.setPush(await this.#push.state()));
  }

  async #loadBlocks() {
    await this.#try(async () => {
      const people = await this.#preferences.blocked();
      if (this.#closed) return;
      this.#home.settings.setBlocked(people);
      this.#home.people.setBlocked(people);
    });
  }

  async #countUnseen() {
    await this.#try(async () => {
      const count = await this.#history.unseen();
      if (!this.#closed) this.setUnseen(count);
    });
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
