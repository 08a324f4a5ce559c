/**
 * The service worker: shows what the relay pushes while no page is open. It caches nothing.
 *
 * @typedef {{type: "call" | "missed_call", from_name: string, call_type: string, call_id: string}} Pushed
 * @typedef {Event & {waitUntil: (work: Promise<unknown>) => void}} ExtendableEvent
 * @typedef {ExtendableEvent & {data: {json: () => Pushed} | null}} PushEvent
 * @typedef {ExtendableEvent & {notification: Notification}} NotificationEvent
 * @typedef {{url: string, focus: () => Promise<unknown>, postMessage: (message: unknown) => void}} WindowClient
 * @typedef {EventTarget & {registration: ServiceWorkerRegistration,
 *   clients: {matchAll: (options: object) => Promise<WindowClient[]>,
 *   openWindow: (url: string) => Promise<unknown>}, skipWaiting: () => Promise<void>}} Scope
 */

const scope = /** @type {Scope} */ (/** @type {unknown} */ (self));

scope.addEventListener("install", () => void scope.skipWaiting());

scope.addEventListener("push", (event) => {
  const push = /** @type {PushEvent} */ (event);
  push.waitUntil(announce(pushedIn(push.data)));
});

scope.addEventListener("notificationclick", (event) => {
  const click = /** @type {NotificationEvent} */ (event);
  click.notification.close();
  const callId = click.notification.data?.answer;
  click.waitUntil(openPage(typeof callId === "string" ? `#answer=${encodeURIComponent(callId)}` : ""));
});

/**
 * @param {PushEvent["data"]} data
 * @returns {Pushed | null} null: it cannot be read, but something must be shown all the same
 */
function pushedIn(data) {
  try {
    return data?.json() ?? null;
  } catch {
    return null;
  }
}

/** @param {Pushed | null} pushed */
async function announce(pushed) {
  const name = pushed?.from_name || "Unknown caller";
  const missed = pushed?.type === "missed_call";
  const kind = pushed?.call_type === "video" ? "video call" : "call";
  await scope.registration.showNotification(missed ? `Missed call from ${name}` : `${name} is calling`, {
    body: missed ? `You missed a ${kind}.` : `Open the page to answer the ${kind}.`,
    icon: "icon.svg",
    // One per call: the notification of the missed call replaces that of the ringing one.
    tag: pushed?.call_id ?? "call",
    requireInteraction: !missed,
    data: missed ? null : { answer: pushed?.call_id },
  });
  // A dot, since the number is not known here; the page sets it.
  if (missed) await /** @type {any} */ (navigator).setAppBadge?.().catch(() => {});
}

/**
 * The page that is open comes to the front, where the call rings by itself; without one, it is opened.
 *
 * @param {string} link what the page is to do
 */
async function openPage(link) {
  const pages = await scope.clients.matchAll({ type: "window", includeUncontrolled: true });
  // The pages of recordings and of the connection test do not ring.
  const page = pages.find(({ url }) => url.replace(/[?#].*$/, "") === scope.registration.scope);
  if (!page) return void (await scope.clients.openWindow(scope.registration.scope + link));
  if (link) page.postMessage({ type: "link", link });
  await page.focus();
}
