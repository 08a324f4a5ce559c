/**
 * Two videos that play as one: the caller's leads, the callee's follows.
 *
 * @typedef {import("./events.js").Occurrence} Occurrence
 * @typedef {import("../../client/model.js").Person} Person
 *
 * @typedef {object} PartyMedia
 * @property {string} name
 * @property {Person | null} person
 * @property {string | null} url Null: nothing of this party was recorded.
 */
import { avatar } from "../ui/avatar.js";
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { clockText } from "../ui/words.js";
import { SYNC_PERIOD, correction } from "./sync.js";
import { createTimeline } from "./timeline.js";

const RATES = [0.5, 1, 1.5, 2];
/** Seconds of the arrow keys, and of J and L. */
const STEP = 5;
const LEAP = 10;

/** @type {Record<string, {seek?: number, toggle?: true}>} */
const KEYS = {
  " ": { toggle: true },
  k: { toggle: true },
  ArrowLeft: { seek: -STEP },
  ArrowRight: { seek: STEP },
  j: { seek: -LEAP },
  l: { seek: LEAP },
};

export function createPlayer() {
  const parties = [createParty("A", "Caller"), createParty("B", "Callee")];
  const toggleButton = button("play", "Play", "play", () => toggle());
  const back = button("back", `Back ${LEAP} seconds`, "back", () => seekBy(-LEAP));
  const forth = button("forth", `Forward ${LEAP} seconds`, "forth", () => seekBy(LEAP));
  const time = h("span", { class: "player__time", "data-testid": "player-time" });
  const rate = h(
    "select",
    { class: "player__rate", "aria-label": "Speed", "data-testid": "player-rate", onchange: () => apply() },
    ...RATES.map((one) => h("option", { value: one, selected: one === 1 }, `${one} ×`)),
  );
  const timeline = createTimeline((at) => seek(at));
  const keys = h("p", { class: "player__keys muted" }, "Space or K: play and pause · ← →: 5 s · J L: 10 s");
  const bar = h("div", { class: "player__bar", role: "group", "aria-label": "Player" }, back, toggleButton, forth, time, rate);
  const videos = h("div", { class: "player__videos" }, ...parties.map((party) => party.element));
  const parts = [videos, timeline.element, bar, keys, timeline.details];
  const element = h("section", { class: "player", "aria-label": "Player", "data-testid": "player" }, ...parts);
  let known = 0;
  let watching = 0;

  /** The party whose time counts, and the one that follows; a party without media does neither. */
  const leader = () => parties.find((party) => party.hasMedia)?.video ?? null;
  const followers = () => parties.filter((party) => party.hasMedia).slice(1).map(({ video }) => video);
  const duration = () => {
    const lengths = parties.filter((party) => party.hasMedia).map(({ video }) => video.duration);
    return Math.max(0, ...lengths.filter(Number.isFinite)) || known;
  };

  for (const { video } of parties) {
    for (const event of ["timeupdate", "durationchange", "play", "pause", "seeked", "ended"]) video.addEventListener(event, render);
    video.addEventListener("play", () => video === leader() && follow());
    for (const event of ["pause", "ended"]) video.addEventListener(event, () => video === leader() && halt());
  }

  function toggle() {
    const master = leader();
    if (!master) return;
    if (!master.paused) return master.pause();
    if (master.ended) seek(0);
    void master.play().catch(() => {}); // the element says what went wrong with its media
  }

  /** @param {number} at seconds */
  function seek(at) {
    const bounded = Math.min(Math.max(0, at), duration());
    for (const party of parties) if (party.hasMedia) party.video.currentTime = bounded;
    render();
  }

  /** @param {number} seconds */
  function seekBy(seconds) {
    const master = leader();
    if (master) seek(master.currentTime + seconds);
  }

  function apply() {
    for (const { video } of parties) video.playbackRate = Number(rate.value);
  }

  function follow() {
    apply();
    for (const video of followers()) void video.play().catch(() => {});
    clearInterval(watching);
    watching = setInterval(synchronize, SYNC_PERIOD);
  }

  function halt() {
    clearInterval(watching);
    for (const video of followers()) video.pause();
  }

  function synchronize() {
    const master = leader();
    if (!master || master.seeking) return;
    for (const video of followers()) {
      if (video.seeking || video.ended || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) continue;
      const { jump, rate: corrected } = correction(video.currentTime - master.currentTime, Number(rate.value));
      if (jump) video.currentTime = master.currentTime;
      if (video.playbackRate !== corrected) video.playbackRate = corrected;
    }
  }

  function render() {
    const master = leader();
    const [at, end] = [master?.currentTime ?? 0, duration()];
    const paused = master?.paused ?? true;
    setText(time, `${clockText(Math.floor(at))} / ${clockText(Math.round(end))}`);
    toggleButton.set(paused ? "Play" : "Pause", paused ? "play" : "pause");
    timeline.setTime(at, end);
  }

  return {
    element,
    /**
     * @param {PartyMedia[]} media of A and B
     * @param {number} seconds that it lasts, as far as is known without the files
     */
    load(media, seconds) {
      known = seconds;
      halt();
      media.forEach((one, index) => parties[index].load(one));
      element.toggleAttribute("data-empty", !leader());
      timeline.setNames(media.map(({ name }) => name));
      render();
    },
    /** @param {Occurrence[]} occurrences */
    setOccurrences: (occurrences) => timeline.setOccurrences(occurrences),
    /** @param {KeyboardEvent} event */
    key(event) {
      const target = /** @type {Element} */ (event.target);
      if (event.ctrlKey || event.metaKey || event.altKey || target.matches("select, textarea, input:not([type=range])")) return;
      if (event.key === " " && target.matches("button, a, summary")) return;
      const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!action || !leader()) return;
      event.preventDefault();
      if (action.toggle) toggle();
      else seekBy(action.seek ?? 0);
    },
    close() {
      halt();
      for (const party of parties) party.load({ name: "", person: null, url: null });
    },
  };
}

/**
 * @param {"A" | "B"} party
 * @param {string} role
 */
function createParty(party, role) {
  const video = h("video", { class: "player__video", playsinline: true, preload: "auto", "data-testid": `video-${party}` });
  const face = h("div", { class: "player__face" });
  const name = h("span", { class: "player__name" });
  const problem = h("p", { class: "player__problem", role: "alert", hidden: true, "data-testid": `problem-${party}` });
  const sound = button(`sound-${party}`, "", "speaker", () => {
    video.muted = !video.muted;
    renderSound();
  });
  const caption = h("figcaption", { class: "player__caption" }, name, h("span", { class: "muted" }, role), sound);
  const element = h("figure", { class: "player__party" }, h("div", { class: "player__frame" }, face, video, problem), caption);
  let label = role;

  function renderSound() {
    sound.set(video.muted ? `Unmute ${label}` : `Mute ${label}`, video.muted ? "speakerOff" : "speaker");
  }

  const seen = () => element.toggleAttribute("data-seen", video.videoWidth > 0);
  video.addEventListener("loadedmetadata", seen);
  video.addEventListener("resize", seen);
  video.addEventListener("error", () => {
    if (!video.hasAttribute("src")) return;
    const unplayable = video.error?.code === MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED;
    const text = unplayable ? "This browser can’t play it. Download the file instead." : "It could not be loaded to its end.";
    problem.hidden = false;
    setText(problem, text);
  });

  return {
    element,
    video,
    get hasMedia() {
      return video.hasAttribute("src");
    },
    /** @param {PartyMedia} media */
    load({ name: next, person, url }) {
      label = next || role;
      setText(name, label);
      fill(face, person && avatar(person, "huge"), url ? null : h("p", {}, "Nothing was recorded of this party."));
      problem.hidden = true;
      element.removeAttribute("data-seen");
      video.setAttribute("aria-label", `Recording of ${label}`);
      sound.hidden = !url;
      renderSound();
      if (url) {
        video.src = url;
        return;
      }
      video.removeAttribute("src");
      video.load();
    },
  };
}

/**
 * @param {string} testId
 * @param {string} label
 * @param {import("../ui/icons.js").IconName} iconName
 * @param {() => void} onclick
 */
function button(testId, label, iconName, onclick) {
  const element = h("button", { class: "roundbutton roundbutton--quiet", type: "button", "data-testid": testId, onclick });
  let shown = "";
  /** @param {string} text @param {import("../ui/icons.js").IconName} name */
  const set = (text, name) => {
    element.setAttribute("aria-label", text);
    element.title = text;
    if (shown === name) return; // a new icon under a pressed pointer would swallow the click
    shown = name;
    fill(element, icon(name));
  };
  set(label, iconName);
  return Object.assign(element, { set });
}
