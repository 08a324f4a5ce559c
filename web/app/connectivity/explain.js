/**
 * What a report means, in words. The relay has the words (`relay/check/verdicts.py`); here is only the sentence for a relay that does
 * not answer. No DOM.
 *
 * @typedef {import("../../client/connectivity/report.js").Hop} Hop
 * @typedef {import("../../client/connectivity/report.js").Report} Report
 *
 * @typedef {object} Explanation
 * @property {number} status 0: media gets through; 1: it does not, or no call can begin; 2: the relay could not be tested
 * @property {string} summary one sentence for people who only want to call
 * @property {string[]} sentences the first says the most
 * @property {Partial<Record<Hop, string>>} lines of each hop its result, in a few words; empty if the relay does not answer
 * @property {string | null} figures of the call, in a line
 */

/** Milliseconds for the relay's answer. */
const TIMEOUT = 5_000;

/**
 * @param {string} base URL that everything of the relay is relative to
 * @param {string} token empty: none; the relay explains without one too, but limits those without it sooner
 * @param {Report} report
 * @returns {Promise<Explanation>}
 */
export async function explain(base, token, report) {
  /** @type {Record<string, string>} */
  const headers = { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const signal = AbortSignal.timeout(TIMEOUT);
  try {
    const url = new URL("api/connectivity/verdict", base);
    const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(report), signal });
    const body = await response.json().catch(() => null);
    // A captive portal or a proxy answers too.
    return response.ok && Array.isArray(body?.sentences) ? body : unanswered(report, `status ${response.status}`);
  } catch {
    return unanswered(report, "");
  }
}

/**
 * @param {Report} report
 * @param {string} answer that came instead; empty: none
 * @returns {Explanation}
 */
function unanswered({ url, hops }, answer) {
  const { protocol, port } = new URL(url);
  const tcp = `TCP ${port || (protocol === "https:" ? 443 : 80)}`;
  const problem = hops.page?.detail || answer;
  const said = problem ? ` (${problem})` : "";
  const sentence = `The relay at ${url} does not answer${said}. Check that it is running, and that ${tcp} to it is open.`;
  return { status: 2, summary: "Calls cannot be reached from here.", sentences: [sentence], lines: {}, figures: null };
}
