/**
 * The page of recordings: who looks, which recording, and what is done with it. `#ID` in its address is a recording, the query is
 * the search.
 *
 * @typedef {import("./record.js").Filter} Filter
 * @typedef {import("./record.js").RecordingFacts} RecordingFacts
 */
import { takeAddress } from "../entrance/address.js";
import { ApiError } from "../../client/api.js";
import { Credentials, developmentToken } from "../../client/credentials.js";
import { rememberedProfile } from "../../client/memory.js";
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { createToasts } from "../ui/toasts.js";
import { Access } from "./access.js";
import { createDetail } from "./detail.js";
import { createList } from "./list.js";
import { addressOf, filterOf, isInWork } from "./record.js";
import { createSignIn } from "./signin.js";
import { problemText } from "./words.js";

/** Milliseconds between two looks at a recording that is in work, and at a list that has such. */
const WATCH_PERIOD = 2_000;
const LIST_PERIOD = 5_000;
const TITLE = "Recordings · Call Relay";

const base = new URL("./", document.baseURI).href;
const toasts = createToasts();
const signIn = createSignIn((token) => void enter(new Access(base, token, true)));
const list = createList({ onSearch: search, onMore: () => void more(), onAgain: () => void load() });
const detail = createDetail({
  onBack: () => go(""),
  onWork: (id, what) => void work(id, what),
  onHold: (id, isHeld) => void hold(id, isHeld),
  onDelete: (id) => void remove(id),
});
const who = h("p", { class: "recpage__lead", "data-testid": "who" });
const overview = h(
  "div",
  { class: "recpage__overview" },
  h("a", { class: "back", href: "./" }, icon("arrow"), "Back to calls"),
  h("h1", { class: "recpage__title" }, "Recordings"),
  who,
  list.element,
);
fill(
  /** @type {HTMLElement} */ (document.getElementById("app")),
  h("main", { class: "recpage" }, overview, signIn.element, detail.element),
  toasts.element,
);
overview.hidden = true;

/** @type {Access | null} */
let access = null;
/** @type {RecordingFacts[]} */
let recordings = [];
/** @type {string | null} */
let next = null;
/** Of the latest list that was asked for: what comes of an earlier one is dropped. */
let generation = 0;
let timer = 0;

/** @returns {Filter} */
const filter = () => filterOf(new URLSearchParams(location.search));

/** @returns {string} the recording that the address names, or nothing */
const chosen = () => (/^#[0-9a-f]{32}$/.test(location.hash) ? location.hash.slice(1) : "");

/** @param {Access} candidate */
async function enter(candidate) {
  try {
    const page = await candidate.list(filter(), null);
    access = candidate;
    signIn.hide();
    const own = "The calls that you took part in and that were recorded with your consent.";
    setText(who, candidate.isService ? "All recordings of this relay." : own);
    showPage(page);
    await route();
  } catch (error) {
    const code = error instanceof ApiError ? error.code : "";
    if (error instanceof ApiError && error.status === 401) return askWho(candidate.isService ? "That is not the service token of this relay." : "");
    overview.hidden = false;
    access = candidate;
    signIn.hide();
    if (error instanceof ApiError && error.status === 404) list.setOff();
    else list.setProblem(problemText(code, error instanceof ApiError ? error.message : ""));
  }
}

/** @param {string} problem */
function askWho(problem) {
  access = null;
  clearTimeout(timer);
  detail.hide();
  overview.hidden = true;
  signIn.show(problem);
}

/** Show what the address says. */
async function route() {
  const id = chosen();
  clearTimeout(timer);
  if (!access) return;
  if (!id) {
    const before = detail.recording?.id;
    detail.hide();
    overview.hidden = false;
    document.title = TITLE;
    if (before) list.focus(before);
    return watch();
  }
  await attempt(async (granted) => {
    const recording = await granted.find(id);
    if (chosen() !== id) return;
    const isNew = detail.recording?.id !== id;
    overview.hidden = true;
    await detail.show(recording, granted);
    if (isNew) detail.focus();
  }, () => go(""));
  watch();
}

/** Look again, as long as something changes by itself. */
function watch() {
  clearTimeout(timer);
  if (detail.needsWatching) timer = setTimeout(() => (document.hidden ? watch() : void route()), WATCH_PERIOD);
  else if (!detail.recording && recordings.some(isInWork)) timer = setTimeout(() => (document.hidden ? watch() : void refresh()), LIST_PERIOD);
}

/** Look at those of the list that are in work. */
async function refresh() {
  const mine = generation;
  const granted = access;
  if (!granted) return;
  const looked = await Promise.all(
    recordings.map((one) => (isInWork(one) ? granted.find(one.id).catch(() => one) : one)),
  );
  if (mine !== generation || detail.recording) return;
  recordings = looked;
  list.setRecordings(recordings, { filter: filter(), hasMore: next !== null });
  watch();
}

async function load() {
  const mine = ++generation;
  list.setFilter(filter());
  list.setLoading();
  const granted = access;
  if (!granted) return;
  try {
    const page = await granted.list(filter(), null);
    if (mine === generation) showPage(page);
  } catch (error) {
    if (mine !== generation) return;
    if (error instanceof ApiError && error.status === 401) askWho(problemText("unauthorized"));
    else list.setProblem(error instanceof ApiError ? problemText(error.code, error.message) : problemText(""));
  }
}

/** @param {import("./access.js").Page} page */
function showPage(page) {
  list.setFilter(filter());
  recordings = page.recordings;
  next = page.next;
  list.setRecordings(recordings, { filter: filter(), hasMore: next !== null });
  watch();
}

async function more() {
  const mine = generation;
  await attempt(async (granted) => {
    const page = await granted.list(filter(), next);
    if (mine !== generation) return;
    recordings = [...recordings, ...page.recordings];
    next = page.next;
    list.setRecordings(recordings, { filter: filter(), hasMore: next !== null });
  });
}

/** @param {Filter} wanted */
function search(wanted) {
  history.pushState(null, "", `${location.pathname}${addressOf(wanted)}`);
  void load();
}

/** @param {string} id of a recording; empty: the list */
function go(id) {
  history.pushState(null, "", `${location.pathname}${location.search}${id && `#${id}`}`);
  void route();
}

/** @param {string} id @param {import("./record.js").Work} what */
async function work(id, what) {
  await attempt(async (granted) => detail.show(await granted.work(id, what), granted));
  watch();
}

/** @param {string} id @param {boolean} isHeld */
async function hold(id, isHeld) {
  await attempt(async (granted) => {
    await detail.show(await granted.hold(id, isHeld), granted);
    toasts.show(isHeld ? "Under legal hold: it is not deleted." : "The legal hold was lifted.");
  });
}

/** @param {string} id */
async function remove(id) {
  await attempt(async (granted) => {
    await granted.remove(id);
    recordings = recordings.filter((one) => one.id !== id);
    list.setRecordings(recordings, { filter: filter(), hasMore: next !== null });
    go("");
    toasts.show("The recording was deleted.");
  });
}

/**
 * Do what the server may refuse; then the user hears why.
 *
 * @param {(granted: Access) => Promise<void>} step
 * @param {() => void} [onProblem]
 */
async function attempt(step, onProblem) {
  if (!access) return;
  try {
    await step(access);
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return askWho(problemText("unauthorized"));
    toasts.show(error instanceof ApiError ? problemText(error.code, error.message) : problemText(""), "problem");
    onProblem?.();
  }
}

/** Who has signed in already: by a token behind the `#`, which browsers send no server; as a profile of this tab; by cookie. */
async function begin() {
  const { token: given } = takeAddress();
  const profile = given ? null : rememberedProfile();
  const token = given || (profile && (await developmentToken(base, profile).catch(() => ""))) || "";
  const state = await new Credentials(base).look(token).catch(() => null);
  if (state && !state.person) return askWho(state.problem ? problemText("unauthorized") : "");
  await enter(new Access(base, token, false));
}

addEventListener("popstate", () => void (chosen() || detail.recording ? route() : load()));
addEventListener("hashchange", () => void route());
document.addEventListener("visibilitychange", () => !document.hidden && watch());
void begin();
