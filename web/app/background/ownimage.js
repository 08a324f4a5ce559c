/**
 * The image that the user has chosen as a background. It is made as large as a background needs it, kept in this browser, and sent to no one.
 */

const DATABASE = "call-relay.background";
const STORE = "images";
const KEY = "own";
/** Bytes of a file that is looked at at all. */
const MOST_BYTES = 25 * 1024 * 1024;
/** Pixels of the longer side that are kept. */
const MOST_PIXELS = 1_600;
const QUALITY = 0.85;

/** @type {Blob | null} what was chosen where storage is forbidden */
let held = null;

/** The file is no image that this browser can show, or is too large. */
export class ImageRefused extends Error {
  /** @param {"too_large" | "unreadable"} problem */
  constructor(problem) {
    super(problem);
    this.problem = problem;
  }
}

/** @returns {Promise<Blob | null>} */
export async function ownImage() {
  try {
    return (await inStore("readonly", (store) => store.get(KEY))) ?? held;
  } catch {
    return held;
  }
}

/**
 * @param {Blob} file
 * @throws {ImageRefused}
 */
export async function keepImage(file) {
  if (file.size > MOST_BYTES) throw new ImageRefused("too_large");
  const image = (held = await fitted(file));
  await inStore("readwrite", (store) => store.put(image, KEY)).catch(() => {}); // it holds until the page goes
}

export async function forgetImage() {
  held = null;
  await inStore("readwrite", (store) => store.delete(KEY)).catch(() => {}); // there was none
}

/**
 * Drawn anew: what a camera writes into its files, such as where it was, is not kept.
 *
 * @param {Blob} file
 * @returns {Promise<Blob>}
 * @throws {ImageRefused}
 */
async function fitted(file) {
  try {
    const image = await createImageBitmap(file);
    const scale = Math.min(1, MOST_PIXELS / Math.max(image.width, image.height));
    const canvas = new OffscreenCanvas(Math.ceil(image.width * scale), Math.ceil(image.height * scale));
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    image.close();
    return await canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
  } catch {
    throw new ImageRefused("unreadable");
  }
}

/**
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest} ask
 * @returns {Promise<any>}
 */
function inStore(mode, ask) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onerror = opening.onblocked = () => reject(opening.error);
    opening.onsuccess = () => {
      const database = opening.result;
      const transaction = database.transaction(STORE, mode);
      const request = ask(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
      void Promise.resolve(transaction).finally(() => database.close());
    };
  });
}
