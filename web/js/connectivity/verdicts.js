/**
 * What a report means, in plain words. No DOM.
 *
 * `relay/check/verdicts.py` says the same of the same reports: tests/check/verdicts.json has what both must say.
 *
 * @typedef {import("./report.js").Figures} Figures
 * @typedef {import("./report.js").Hop} Hop
 * @typedef {import("./report.js").Report} Report
 * @typedef {import("./report.js").Result} Result
 * @typedef {[Hop, Result]} Way
 */
import { LABELS, WAYS } from "./report.js";

/** Statuses: media gets through; it does not, or no call can begin; the relay could not be asked. */
export const WORKS = 0;
export const NO_MEDIA = 1;
export const NOT_TESTED = 2;

/** Percent: above it, sound breaks up (ITU-T G.113). */
const MUCH_LOSS = 5;
/** Milliseconds: two of them, one per party, make a delay that people notice (ITU-T G.114). */
const LONG_ROUND_TRIP = 300;
/** Hosts that a sentence names. */
const SHOWN_HOSTS = 3;

/** @typedef {{url: string, host: string, port: number, detail: string}} PageParts */
/** @type {Record<string, (parts: PageParts) => string>} */
const PAGE = {
  name: ({ host }) => `There is no ${host}: the name is not known here.`,
  refused: ({ host, port }) => `TCP ${port} of ${host} refuses connections: is the relay running, and is this its port?`,
  silent: ({ host, port }) => `TCP ${port} to ${host} is not answered. Open it, or see whether the relay is running.`,
  certificate: ({ host, detail }) => `The TLS certificate of ${host} is not good: ${detail}.`,
  not_relay: ({ url, detail }) => `What answers at ${url} is not a call relay: ${detail}.`,
  unauthorized: ({ url, detail }) => `The relay at ${url} wants a credential: ${detail}.`,
  broken: ({ url, detail }) => `The relay at ${url} cannot be used: ${detail}.`,
};

/** @type {Record<string, (detail: string) => string>} */
const WEBSOCKET = {
  upgrade: () =>
    "The page works, but no WebSocket opens, so no call can begin: something on the way, likely a reverse proxy, does " +
    "not pass on the Upgrade. Let it pass the headers Upgrade and Connection for /ws/.",
  silent: () =>
    "The page works, but nothing comes through the WebSocket, so no call can begin: something on the way, likely a " +
    "reverse proxy, holds it back. Let it pass what comes for /ws/ without buffering.",
  busy: (detail) => `The relay takes no test now: ${detail}.`,
  lost: () =>
    "The WebSocket broke in the middle of the test: something on the way cuts connections, or the relay was restarted.",
};

/** @type {Partial<Record<Hop, string>>} */
const OFF = {
  tcp: "media over TCP (RELAY_MEDIA_TCP)",
  turn_udp: "TURN over UDP",
  turn_tcp: "TURN over TCP",
  turn_tls: "TURN over TLS (RELAY_TLS_CERT)",
};
/** @type {Hop[]} */
const TURN = ["turn_udp", "turn_tcp", "turn_tls"];

/**
 * @param {Report} report
 * @returns {{status: number, sentences: string[]}} the first sentence says the most
 */
export function verdict(report) {
  const page = resultOf(report, "page");
  const websocket = resultOf(report, "websocket");
  if (page.state !== "ok") return { status: NOT_TESTED, sentences: [aboutPage(report.url, page)] };
  if (websocket.state !== "ok") {
    const text = (WEBSOCKET[websocket.reason ?? ""] ?? WEBSOCKET.upgrade)(websocket.detail ?? "");
    return { status: ["busy", "lost"].includes(websocket.reason ?? "") ? NOT_TESTED : NO_MEDIA, sentences: [text] };
  }
  if (WAYS.some((way) => resultOf(report, way).reason === "unavailable")) {
    return { status: NOT_TESTED, sentences: ["The relay cannot take a call now: its log says why."] };
  }
  const best = WAYS.find((way) => resultOf(report, way).state === "ok");
  if (!best) return { status: NO_MEDIA, sentences: [...withoutMedia(report), ...turnedOff(report)] };
  if (resultOf(report, "call").state === "failed") {
    return { status: NO_MEDIA, sentences: [...withoutSound(report, best), ...turnedOff(report)] };
  }
  return { status: WORKS, sentences: [...withMedia(report, best), ...turnedOff(report), ...aboutQuality(report.figures)] };
}

/**
 * The figures of the call, each with a name.
 *
 * @param {Figures} figures
 */
export function figuresText({ way, family, host, port, round_trip_ms, loss_percent, jitter_ms, kbps, frames_per_second }) {
  return [
    `${LABELS[way]} (${family}) to ${host.includes(":") ? `[${host}]` : host}:${port}`,
    round_trip_ms === null ? "round trip unknown" : `round trip ${round_trip_ms} ms`,
    `${loss_percent} % lost`,
    jitter_ms === null ? "jitter unknown" : `jitter ${jitter_ms} ms`,
    `${kbps} kbit/s`,
    `${frames_per_second} pictures/s`,
  ].join(" · ");
}

/**
 * What became of one hop, in a few words.
 *
 * @param {Hop} hop
 * @param {Result} result
 */
export function resultText(hop, result) {
  const time = result.seconds === undefined ? "" : ` (${result.seconds} s)`;
  const where = WAYS.includes(hop) && result.targets?.length ? places([[hop, result]]) : "";
  const { detail = "" } = result;
  switch (result.state) {
    case "ok":
      return `works${time}${where || detail ? `: ${where || detail}` : ""}`;
    case "off":
      return "turned off at the relay";
    case "skipped":
      return "not tried";
    case "failed":
      if (WAYS.includes(hop)) return where && !detail ? `not answered: ${where}` : `fails: ${detail || where}`;
      return detail ? `fails: ${detail}` : "fails";
  }
}

// -- sentences ----------------------------------------------------------------------------------------------------------

/**
 * @param {string} url
 * @param {Result} page
 */
function aboutPage(url, page) {
  const { host, port } = page.targets?.[0] ?? { host: "", port: 0 };
  return (PAGE[page.reason ?? ""] ?? PAGE.broken)({ url, host, port, detail: page.detail ?? "" });
}

/** @param {Report} report */
function withoutMedia(report) {
  const failed = failedOf(report, WAYS);
  if (!failed.length) return ["The relay offers no way for media."];
  const others = failed.filter(([way]) => way !== "udp");
  const second = others.find(([way]) => way === "tcp") ?? others.at(-1);
  const instead = second && failed[0][0] === "udp" ? `; or, where that cannot be, ${places([second])}` : "";
  return [`No media gets through: ${notAnswered(failed)}.`, `Open ${places(failed.slice(0, 1))}${instead}.`];
}

/**
 * @param {Report} report
 * @param {Hop} best
 */
function withMedia(report, best) {
  /** @type {Way} */
  const way = [best, resultOf(report, best)];
  const before = WAYS.slice(0, WAYS.indexOf(best)).filter((one) => one === "udp" || one === "tcp");
  const direct = failedOf(report, before);
  const rest = failedOf(report, WAYS).filter(([one]) => !direct.some(([other]) => other === one));
  const sentences = [];
  if (direct.length) sentences.push(`${notAnswered(direct)}; media will use ${short(...way)}.`);
  else if (rest.length) sentences.push(`Media will use ${places([way])}.`);
  else sentences.push(`Everything works: media will use ${places([way])}.`);
  if (rest.length && direct.length) sentences.push(`${notAnswered(rest)} either.`);
  else if (rest.length) sentences.push(`${notAnswered(rest)}: calls from here do not need that, but other networks may.`);
  if (direct[0]?.[0] === "udp") sentences.push(`For the best quality, open ${places(direct.slice(0, 1))}.`);
  return sentences;
}

/**
 * @param {Report} report
 * @param {Hop} best
 */
function withoutSound(report, best) {
  const failed = failedOf(report, WAYS);
  const way = places([[best, resultOf(report, best)]]);
  return [
    `${way} is answered, but the call brought neither sound nor pictures back.`,
    ...(failed.length ? [`${notAnswered(failed)}.`] : []),
  ];
}

/** @param {Report} report */
function turnedOff(report) {
  const off = WAYS.filter((way) => resultOf(report, way).state === "off");
  const noTurn = TURN.every((way) => off.includes(way));
  const names = off.flatMap((way) => (noTurn && TURN.includes(way) ? [] : (OFF[way] ?? [])));
  if (noTurn) names.push("TURN (RELAY_TURN)");
  return names.length ? [`Turned off at the relay: ${listed(names)}.`] : [];
}

/** @param {Figures | null | undefined} figures */
function aboutQuality(figures) {
  if (!figures) return [];
  const { loss_percent: lost, round_trip_ms: trip } = figures;
  const sentences = [];
  if (lost >= MUCH_LOSS) {
    sentences.push(`The call lost ${lost} % of its packets: the network is overloaded, or its radio is weak.`);
  }
  if (trip !== null && trip >= LONG_ROUND_TRIP) {
    sentences.push(`The round trip took ${trip} ms: people will talk into each other's words.`);
  }
  return sentences;
}

// -- parts of sentences ---------------------------------------------------------------------------------------------------

/**
 * @param {Report} report
 * @param {Hop} hop
 * @returns {Result}
 */
function resultOf(report, hop) {
  return report.hops[hop] ?? { state: "skipped" };
}

/**
 * @param {Report} report
 * @param {Hop[]} ways
 * @returns {Way[]}
 */
function failedOf(report, ways) {
  return ways.filter((way) => resultOf(report, way).state === "failed").map((way) => [way, resultOf(report, way)]);
}

/** @param {Way[]} ways */
function notAnswered(ways) {
  return `${places(ways)} ${ways.length === 1 ? "is" : "are"} not answered`;
}

/**
 * `UDP 40000 and TCP 443 to 203.0.113.10`: those with the same hosts together.
 *
 * @param {Way[]} ways
 */
function places(ways) {
  /** @type {{hosts: string, names: string[]}[]} */
  const groups = [];
  for (const [hop, result] of ways) {
    const hosts = hostsOf(result);
    const last = groups.at(-1);
    if (last?.hosts === hosts) last.names.push(short(hop, result));
    else groups.push({ hosts, names: [short(hop, result)] });
  }
  return groups.map(({ hosts, names }) => (hosts ? `${listed(names)} to ${hosts}` : listed(names))).join("; ");
}

/**
 * `TCP 443`.
 *
 * @param {Hop} hop
 * @param {Result} result
 */
function short(hop, result) {
  const ports = [...new Set((result.targets ?? []).map(({ port }) => port))];
  return ports.length ? `${LABELS[hop]} ${ports.join("/")}` : LABELS[hop];
}

/** @param {Result} result */
function hostsOf(result) {
  const hosts = [...new Set((result.targets ?? []).map(({ host }) => host))];
  const more = hosts.length - SHOWN_HOSTS;
  return hosts.slice(0, SHOWN_HOSTS).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** @param {string[]} names */
function listed(names) {
  return names.length === 1 ? names[0] : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
