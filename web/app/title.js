/** The title of the tab, and the number at the icon of the installed page: the caller, the other party, what was missed. */

const NAME = "Call Relay";
/** Milliseconds between the two titles of a page that rings out of sight. */
const FLASH = 1_000;

let unseen = 0;
let ringing = "";
let other = "";
let isLit = true;
let timer = 0;

/** @param {number} count calls that were missed, and not seen yet */
export function setUnseen(count) {
  if (unseen === count) return;
  unseen = count;
  write();
  // In Chromium and Safari, and of use where the page is installed.
  const { setAppBadge, clearAppBadge } = /** @type {any} */ (navigator);
  const set = count ? setAppBadge?.call(navigator, count) : clearAppBadge?.call(navigator);
  set?.catch(() => {});
}

/** @param {{ringing: string, other: string}} names of the caller, and of the other party of a call; empty: none */
export function setCall(names) {
  ({ ringing, other } = names);
  look();
}

document.addEventListener("visibilitychange", look);

/** A page that is not looked at changes its title while it rings. */
function look() {
  const flashes = ringing !== "" && document.hidden && !matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (flashes && !timer) timer = setInterval(flash, FLASH);
  if (!flashes) {
    clearInterval(timer);
    timer = 0;
    isLit = true;
  }
  write();
}

function flash() {
  isLit = !isLit;
  write();
}

function write() {
  const count = unseen ? `(${unseen}) ` : "";
  const calling = ringing && isLit ? `${ringing} is calling…` : "";
  document.title = calling || `${count}${other ? `${other} · ` : ""}${NAME}`;
}
