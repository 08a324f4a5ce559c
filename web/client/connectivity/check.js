/**
 * The test: hop by hop, with a callback for each result. No DOM but the canvas that is sent.
 *
 * @typedef {import("./report.js").Figures} Figures
 * @typedef {import("./report.js").Hop} Hop
 * @typedef {import("./report.js").Report} Report
 * @typedef {import("./report.js").Result} Result
 *
 * @typedef {object} Setup
 * @property {string} base URL that everything of the relay is relative to
 * @property {string} token empty: the cookie is the credential
 * @property {import("../model.js").ProfileName} profile to log in as, in development mode
 *
 * @typedef {object} Watcher callbacks for the progress of the test
 * @property {(hop: Hop) => void} trying
 * @property {(hop: Hop, result: Result) => void} found
 * @property {(stream: MediaStream) => void} received the media that comes back in the call
 */
import { HopFailed, ProbeSocket, signIn, targetOf } from "./client.js";
import { LoopbackCall } from "./loopback.js";
import { HOPS, PATHS } from "./report.js";
import { syntheticMedia } from "./synthetic.js";

/**
 * @param {Setup} setup
 * @param {Watcher} watcher
 * @returns {Promise<Report>}
 */
export async function check(setup, watcher) {
  const test = new Test(setup, watcher);
  try {
    await test.run();
  } catch (error) {
    if (!(error instanceof HopFailed)) throw error;
    test.fail(error);
  }
  for (const hop of HOPS) if (!test.results[hop]) test.found(hop, { state: "skipped" });
  return { url: setup.base, hops: test.results, figures: test.figures };
}

class Test {
  /** @type {Partial<Record<Hop, Result>>} */
  results = {};
  /** @type {Figures | null} */
  figures = null;
  #setup;
  #watcher;
  /** @type {Hop} */
  #hop = "page";
  #begin = 0;

  /**
   * @param {Setup} setup
   * @param {Watcher} watcher
   */
  constructor(setup, watcher) {
    this.#setup = setup;
    this.#watcher = watcher;
  }

  /** @throws {HopFailed} the test cannot go on */
  async run() {
    const { base, token, profile } = this.#setup;
    this.#try("page");
    const access = await signIn(base, token, profile);
    this.#works({ targets: [targetOf(base)] });
    this.#try("websocket");
    const socket = await ProbeSocket.open(base, access.token);
    const media = syntheticMedia();
    try {
      this.#works({ detail: socket.address ? `the relay sees you at ${socket.address}` : "" });
      await this.#tryPaths(socket, access.iceServers, media.stream);
    } finally {
      media.stop();
      socket.close();
    }
  }

  /** @param {HopFailed} failed the failure that ends the test */
  fail({ reason, detail }) {
    const hop = reason === "lost" ? "websocket" : this.#hop;
    this.found(hop, { state: "failed", targets: hop === "page" ? [targetOf(this.#setup.base)] : [], reason, detail });
  }

  /**
   * @param {Hop} hop
   * @param {Result} result
   */
  found(hop, result) {
    this.results[hop] = result;
    this.#watcher.found(hop, result);
  }

  /**
   * @param {ProbeSocket} socket
   * @param {RTCIceServer[]} servers
   * @param {MediaStream} media
   */
  async #tryPaths(socket, servers, media) {
    for (const path of PATHS) {
      this.#try(path);
      const call = await LoopbackCall.begin(path, socket, servers, media, () => {});
      const { targets } = call;
      if (!call.isTried) this.found(path, { state: "skipped" });
      else if (!targets.length) this.found(path, { state: "off" });
      else if (await call.connected()) this.#works({ targets: [await call.reached()] });
      else this.found(path, { state: "failed", targets });
      call.close();
    }
    const best = PATHS.find((path) => this.results[path]?.state === "ok");
    if (!best) return;
    this.#try("call");
    const call = await LoopbackCall.begin(best, socket, servers, media, this.#watcher.received);
    if (await call.connected()) this.figures = await call.figures();
    call.close();
    this.found("call", { state: this.figures ? "ok" : "failed" });
  }

  /** @param {Hop} hop */
  #try(hop) {
    this.#hop = hop;
    this.#begin = performance.now();
    this.#watcher.trying(hop);
  }

  /** @param {Partial<Result>} more */
  #works(more) {
    const seconds = Math.round((performance.now() - this.#begin) / 10) / 100;
    this.found(this.#hop, { state: "ok", seconds, ...more });
  }
}
