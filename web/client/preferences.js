/**
 * What a profile settles about being called: who may, when not, and who never. No DOM.
 *
 * @typedef {import("./model.js").Person} Person
 * @typedef {import("./model.js").ProfileName} ProfileName
 *
 * @typedef {"everyone" | "connections" | "nobody"} Privacy
 *
 * @typedef {object} Preferences
 * @property {Privacy} privacy
 * @property {boolean} doNotDisturb
 */
import { personOf } from "./protocol.js";

export class PreferenceStore {
  #api;

  /** @param {import("./api.js").Api} api */
  constructor(api) {
    this.#api = api;
  }

  /** @returns {Promise<Preferences>} */
  async read() {
    return preferencesIn(await this.#api.get("api/settings"));
  }

  /**
   * @param {Preferences} preferences
   * @returns {Promise<Preferences>} as they are now
   */
  async write({ privacy, doNotDisturb }) {
    return preferencesIn(await this.#api.send("PUT", "api/settings", { privacy, do_not_disturb: doNotDisturb }));
  }

  /** @returns {Promise<Person[]>} the people that the profile has blocked */
  async blocked() {
    /** @type {{blocks: {profile: import("./protocol.js").WireProfile}[]}} */
    const { blocks } = await this.#api.get("api/blocks");
    return blocks.map(({ profile }) => personOf(profile));
  }

  /**
   * @param {ProfileName} profile
   * @param {boolean} blocked
   */
  async block({ type, id }, blocked) {
    await this.#api.send(blocked ? "PUT" : "DELETE", `api/blocks/${type}/${id}`);
  }
}

/**
 * @param {{privacy: Privacy, do_not_disturb: boolean}} wire
 * @returns {Preferences}
 */
function preferencesIn({ privacy, do_not_disturb: doNotDisturb }) {
  return { privacy, doNotDisturb };
}
