/**
 * Access to the recordings of one who is signed in: a profile, which sees its own, or the platform's service token, which sees
 * all. No DOM.
 *
 * @typedef {import("./record.js").RecordingFacts} RecordingFacts
 * @typedef {import("./record.js").Filter} Filter
 *
 * @typedef {object} Page
 * @property {RecordingFacts[]} recordings newest first
 * @property {string | null} next Where the next page begins; null: there is none.
 */
import { ApiError } from "../../client/api.js";
import { queryOf, recordingOf } from "./record.js";

/** Recordings that are asked for at a time. */
const PAGE = 25;
/** Milliseconds before its end at which a ticket is replaced: a page of a long recording may be asked for all through it. */
const TICKET_MARGIN = 300_000;

export class Access {
  /** Whether it is the service token's. */
  isService;
  #base;
  #token;
  #path;
  /** @type {Map<string, {ticket: string, until: number}>} by recording */
  #tickets = new Map();

  /**
   * @param {string} base URL that everything of the server is relative to
   * @param {string} token of a profile, or the service token; empty: the browser's cookie
   * @param {boolean} isService
   */
  constructor(base, token, isService) {
    this.#base = base;
    this.#token = token;
    this.isService = isService;
    this.#path = isService ? "api/admin/recordings" : "api/recordings";
  }

  /**
   * @param {Filter} filter
   * @param {string | null} after where an earlier page ended
   * @returns {Promise<Page>}
   */
  async list(filter, after) {
    const query = queryOf(filter);
    query.set("limit", String(PAGE));
    if (after) query.set("after", after);
    const { recordings, next_cursor: next } = await this.#request("GET", `${this.#path}?${query}`);
    return { recordings: recordings.map(recordingOf), next: next ?? null };
  }

  /** @param {string} id */
  async find(id) {
    return recordingOf((await this.#request("GET", this.#pathOf(id))).recording);
  }

  /** @param {string} id @param {import("./record.js").Work} what */
  async work(id, what) {
    const path = what === "mp4" ? "assemble?mp4=1" : what;
    return recordingOf((await this.#request("POST", `${this.#pathOf(id)}/${path}`)).recording);
  }

  /**
   * Set or lift the legal hold: for the service token only.
   *
   * @param {string} id
   * @param {boolean} isHeld
   */
  async hold(id, isHeld) {
    await this.#request(isHeld ? "PUT" : "DELETE", `${this.#pathOf(id)}/hold`);
    return this.find(id);
  }

  /** @param {string} id */
  async remove(id) {
    await this.#request("DELETE", this.#pathOf(id));
  }

  /** @param {string} id */
  sidecar(id) {
    return this.#request("GET", `${this.#pathOf(id)}/files/sidecar.json`);
  }

  /** @param {string} id */
  report(id) {
    return this.#request("GET", `${this.#pathOf(id)}/report`);
  }

  /**
   * A URL for an element, which cannot send a header.
   *
   * @param {string} id
   * @param {string} name
   */
  async fileUrl(id, name) {
    return this.#linked(id, `files/${encodeURIComponent(name)}`);
  }

  /** @param {string} id */
  async reportUrl(id) {
    return this.#linked(id, "report.html");
  }

  /**
   * @param {string} id
   * @param {string} rest
   */
  async #linked(id, rest) {
    const url = new URL(`${this.#pathOf(id)}/${rest}`, this.#base);
    // The service token must not stand in a URL, which is logged and remembered: a ticket is for one recording and an hour.
    if (this.isService) url.searchParams.set("ticket", await this.#ticket(id));
    else if (this.#token) url.searchParams.set("token", this.#token);
    return url.href;
  }

  /** @param {string} id */
  async #ticket(id) {
    const known = this.#tickets.get(id);
    if (known && known.until > Date.now()) return known.ticket;
    const { ticket, expires_at: expiresAt } = await this.#request("POST", `${this.#pathOf(id)}/ticket`);
    this.#tickets.set(id, { ticket, until: expiresAt - TICKET_MARGIN });
    return ticket;
  }

  /** @param {string} id */
  #pathOf(id) {
    return `${this.#path}/${encodeURIComponent(id)}`;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @returns {Promise<any>} the JSON of the answer
   * @throws {ApiError}
   */
  async #request(method, path) {
    /** @type {Record<string, string>} */
    const headers = this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
    const response = await fetch(new URL(path, this.#base), { method, headers });
    if (response.status === 204) return null;
    const body = await response.json().catch(() => null);
    if (response.ok && body !== null) return body;
    const { code = `http_${response.status}`, message = response.statusText } = body?.error ?? {};
    throw new ApiError(response.status, code, message);
  }
}
