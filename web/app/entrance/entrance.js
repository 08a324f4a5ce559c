/**
 * Who uses the page: finds the credential that there is, asks where there is none, and follows what other tabs of the browser do.
 * No DOM.
 *
 * @typedef {import("./address.js").Intent} Intent
 * @typedef {import("../../client/credentials.js").CredentialProblem} CredentialProblem
 * @typedef {import("../../client/credentials.js").SessionState} SessionState
 * @typedef {import("../../client/model.js").Person} Person
 * @typedef {import("../../client/model.js").ProfileName} ProfileName
 *
 * @typedef {CredentialProblem | "signing_out" | "signed_out" | "still_signed_in" | "signed_out_elsewhere" | "unreachable" | null} GateProblem
 *
 * @typedef {object} GateView
 * @property {GateProblem} problem
 * @property {string} link where to sign in; empty: there is no such page
 * @property {{given: Person, present: Person, onAnswer: (other: boolean) => void} | null} question who of two it is
 * @property {(() => void) | null} onRetry
 *
 * @typedef {object} EntranceSetup
 * @property {string} base URL that everything of the server is relative to
 * @property {import("../../client/credentials.js").Credentials} credentials
 * @property {(state: SessionState) => void} enter
 * @property {() => void} leave End what there is of the profile that was signed in.
 * @property {(view: GateView) => void} showGate
 * @property {(problem: GateProblem) => void} showChooser Of development mode.
 * @property {(problem: CredentialProblem) => void} warn
 * @property {(intent: Intent) => void} intend
 */
import { forgetIntent, signInLink, takeAddress } from "./address.js";
import { developmentToken } from "../../client/credentials.js";
import { ParentPage, isFramed } from "./frame.js";
import { rememberProfile, rememberedProfile } from "../../client/memory.js";
import { keyOf } from "../../client/model.js";

const CHANNEL = "call-relay.session";

export class Entrance {
  #setup;
  #credentials;
  /** @type {SessionState | null} what the server says of how to sign in */
  #site = null;
  /** @type {Intent | null} */
  #intent = null;
  /** @type {ParentPage | null} */
  #parent = null;
  /** What the other tabs of this browser do; they have the same cookie. */
  #tabs = new BroadcastChannel(CHANNEL);

  /** @param {EntranceSetup} setup */
  constructor(setup) {
    this.#setup = setup;
    this.#credentials = setup.credentials;
    this.#tabs.addEventListener("message", ({ data }) => void this.#hear(data));
    addEventListener("hashchange", () => void this.#addressChanged());
    // A notification was clicked, and this page is open (sw.js).
    navigator.serviceWorker?.addEventListener("message", ({ data }) => {
      if (data?.type === "link" && /^#answer=[0-9A-Za-z_-]{1,64}$/.test(data.link)) location.hash = data.link;
    });
    this.#credentials.addEventListener("tokenneeded", (event) => {
      const { person } = this.#credentials;
      // A profile of development mode needs nothing to sign in again.
      if (!this.isDevelopment || isFramed || !person) return;
      const needed = /** @type {import("../../client/credentials.js").TokenNeeded} */ (event);
      needed.respondWith(developmentToken(this.#setup.base, person));
    });
  }

  get isDevelopment() {
    return this.#site?.development ?? false;
  }

  /** Where to sign in again; empty: there is no such page, or the page around this one knows. */
  get link() {
    return isFramed ? "" : signInLink(this.#site?.signInUrl ?? "", this.#setup.base, this.#intent);
  }

  /** The page was opened. */
  async begin() {
    const { token, intent } = takeAddress();
    this.#intent = intent;
    await this.#try(() => this.#open(token));
  }

  /** What the link wanted, once; null: nothing (more). */
  takeIntent() {
    const intent = this.#intent;
    this.#intent = null;
    forgetIntent();
    return intent;
  }

  /**
   * Enter as a profile of development mode.
   *
   * @param {ProfileName} profile
   * @throws {unknown} also `ApiError`: the server is not there, or not in development mode
   */
  async choose(profile) {
    const { base } = this.#setup;
    const state = await this.#credentials.signIn(await developmentToken(base, profile));
    if (state.person) this.#enter(state);
  }

  /** The credential is not good any more, and there is no other. */
  lost() {
    const problem = this.#credentials.problem ?? "expired";
    this.#leave();
    if (this.isDevelopment) this.#setup.showChooser(problem);
    else this.#gate(problem);
  }

  /** The user signs out, of all tabs of this browser; in development mode, each tab has a user of its own. */
  async signOut() {
    const development = this.isDevelopment;
    this.#leave();
    if (development) return this.#setup.showChooser(null);
    this.#tabs.postMessage({ type: "signed_out" });
    await this.#forget();
  }

  /** Signed out is who has no cookie any more: until the server has taken it, the next one at this computer would be let in. */
  async #forget() {
    this.#gate("signing_out");
    const problem = await this.#credentials.signOut().then(
      () => /** @type {const} */ ("signed_out"),
      () => /** @type {const} */ ("still_signed_in"),
    );
    if (!this.#credentials.person) this.#gate(problem); // the user may have come by a link meanwhile
  }

  /** @param {string} token */
  async #open(token) {
    const known = (this.#site = await this.#credentials.look());
    if (isFramed) return this.#openInFrame(known, token);
    const given = token ? await this.#credentials.look(token) : null;
    const present = known.development ? null : known.person;
    if (given?.person && present && keyOf(given.person) !== keyOf(present)) return this.#askWho(given.person, known, token);
    if (given?.person) return this.#enterBy(token);
    if (known.development) return this.#develop(given?.problem ?? null);
    if (!present) return this.#gate(given?.problem ?? known.problem);
    this.#credentials.use(known);
    this.#enter(known);
    if (given?.problem) this.#setup.warn(given.problem);
  }

  /**
   * @param {SessionState} known
   * @param {string} token
   */
  async #openInFrame(known, token) {
    if (!known.frameAncestors.length) return; // the browser should have refused to show it
    this.#parent ??= this.#listenTo(known.frameAncestors);
    const given = token || (await this.#parent.ask("missing"));
    if (this.#credentials.person) return;
    if (given) return this.#enterBy(given);
    if (!known.person || known.development) return this.#gate(known.problem);
    this.#credentials.use(known); // the same site: the cookie is sent
    this.#enter(known);
  }

  /** @param {string[]} origins */
  #listenTo(origins) {
    const parent = new ParentPage(origins, (token) => void this.#try(() => this.#given(token)));
    this.#credentials.addEventListener("tokenneeded", (event) => {
      const needed = /** @type {import("../../client/credentials.js").TokenNeeded} */ (event);
      needed.respondWith(parent.ask(needed.reason));
    });
    return parent;
  }

  /** @param {string} token */
  async #enterBy(token) {
    const state = await this.#credentials.signIn(token);
    if (!state.person) return this.#gate(state.problem);
    if (!isFramed && !state.development) this.#tabs.postMessage({ type: "signed_in", key: keyOf(state.person) });
    this.#enter(state);
  }

  /** @param {SessionState} state */
  #enter(state) {
    // What a tab remembers of its profile is for development mode only, where it is all that is needed to sign in again.
    if (state.development && state.person) rememberProfile(state.person);
    this.#setup.enter(state);
  }

  /** @param {GateProblem} problem */
  async #develop(problem) {
    const last = rememberedProfile();
    if (last && !problem) return this.choose(last);
    this.#setup.showChooser(problem);
  }

  /** A token came while the page is open: by a link, or from the page around this one. @param {string} token */
  async #given(token) {
    const { person } = this.#credentials;
    if (!person) return this.#open(token);
    const state = await this.#credentials.look(token);
    if (!state.person) return state.problem ? this.#setup.warn(state.problem) : undefined;
    if (keyOf(state.person) === keyOf(person)) return void (await this.#credentials.signIn(token));
    if (isFramed) {
      this.#leave();
      return this.#enterBy(token);
    }
    this.#leave();
    await this.#open(token);
  }

  async #addressChanged() {
    const { token, intent } = takeAddress();
    if (token) {
      this.#intent = intent;
      await this.#try(() => this.#given(token));
    }
    if (intent && this.#credentials.person) {
      this.#intent = null;
      forgetIntent();
      this.#setup.intend(intent);
    }
  }

  /** @param {Person} given @param {SessionState} known @param {string} token */
  #askWho(given, known, token) {
    const present = /** @type {Person} */ (known.person);
    const onAnswer = (/** @type {boolean} */ other) => {
      if (other) return void this.#try(() => this.#enterBy(token));
      this.#credentials.use(known);
      this.#enter(known);
    };
    this.#gate(null, { given, present, onAnswer });
  }

  /** What another tab has done. @param {{type?: string, key?: string} | null} data */
  async #hear(data) {
    const { person } = this.#credentials;
    if (this.isDevelopment || isFramed) return;
    if (data?.type === "signed_out" && person) {
      this.#leave();
      this.#gate("signed_out_elsewhere");
    } else if (data?.type === "signed_in" && !person) {
      await this.#try(() => this.#open(""));
    } else if (data?.type === "signed_in" && person && data.key === keyOf(person)) {
      await this.#credentials.renew("expiring").catch(() => {});
    } else if (data?.type === "signed_in" && person) {
      this.#leave();
      this.#gate("other_profile");
    }
  }

  #leave() {
    this.#setup.leave();
    this.#credentials.close();
    rememberProfile(null);
  }

  /**
   * @param {GateProblem} problem
   * @param {GateView["question"]} [question]
   */
  #gate(problem, question = null) {
    const again = problem === "unreachable" || problem === "other_profile" || problem === "signed_out_elsewhere";
    const open = () => void this.#try(() => this.#open(""));
    const onRetry = problem === "still_signed_in" ? () => void this.#forget() : again ? open : null;
    this.#setup.showGate({ problem, link: this.link, question, onRetry });
  }

  /** @param {() => Promise<unknown>} step */
  async #try(step) {
    try {
      await step();
    } catch (error) {
      console.info("the server could not be asked:", error);
      this.#gate("unreachable");
    }
  }
}
