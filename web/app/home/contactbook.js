/**
 * Who the user can call: asked for, shown, and looked up. No DOM of its own.
 *
 * @typedef {import("../../client/contacts.js").Contacts} Contacts
 * @typedef {import("../../client/model.js").Contact} Contact
 * @typedef {import("../../client/model.js").Person} Person
 */
import { keyOf, sameScope } from "../../client/model.js";

export class ContactBook {
  #api;
  #shown;
  #closed = false;
  /** @type {Contacts} */
  #contacts = { conversations: [], whiteboards: [] };

  /**
   * @param {import("../../client/api.js").Api} api
   * @param {ReturnType<typeof import("./people.js").createPeople>} shown
   */
  constructor(api, shown) {
    this.#api = api;
    this.#shown = shown;
  }

  /** Nothing that still comes reaches the screen. */
  close() {
    this.#closed = true;
  }

  /** @returns {Person[]} everyone who can be called, once each */
  get people() {
    return [...new Map(this.#contacts.conversations.map(({ other }) => [keyOf(other), other])).values()];
  }

  /** @param {import("../../client/model.js").Scope} scope @returns {Contact | null} null: the user has no such conversation */
  contactIn(scope) {
    const { conversations, whiteboards } = this.#contacts;
    return [...conversations, ...whiteboards].find((contact) => sameScope(contact.scope, scope)) ?? null;
  }

  /** @param {Contacts} contacts as the server has just given them */
  take(contacts) {
    this.#contacts = contacts;
    this.#shown.setContacts(contacts.conversations, contacts.whiteboards);
  }

  async load() {
    this.#shown.setLoading();
    try {
      // Conversations are what the page is for; without whiteboards it is still worth having.
      const boards = this.#api.whiteboards().catch(() => []);
      const [conversations, whiteboards] = await Promise.all([this.#api.conversations(), boards]);
      if (!this.#closed) this.take({ conversations, whiteboards });
    } catch (error) {
      console.info("the contacts could not be loaded:", error);
      if (!this.#closed) this.#shown.setProblem();
    }
  }
}
