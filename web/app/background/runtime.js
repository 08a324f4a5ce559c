/**
 * TensorFlow Lite as WebAssembly, with a model that tells a person from the background (web/vendor/tflite/README.md). It runs where the
 * Content-Security-Policy allows `wasm-unsafe-eval`: in the worker, whose script has a policy of its own.
 */

/** Pixels of what the model looks at. */
export const WIDTH = 256;
export const HEIGHT = 144;

const RUNTIME = new URL("../../vendor/tflite/tflite-simd.28813f8fdd8ca46e.wasm", import.meta.url);
const MODEL = new URL("../../vendor/tflite/selfie-landscape.490e9ea734313e0d.tflite", import.meta.url);

/** Bytes of a page of memory (WebAssembly, section 4.2.8). */
const PAGE = 65_536;
/** Bytes that the runtime may take at most. */
const MOST_MEMORY = 256 * 1024 * 1024;
/** Errors of POSIX, by the numbers of its emulation. */
const EAGAIN = 6;
const EINVAL = 28;

/**
 * @typedef {object} Exports By the names that its build gave them.
 * @property {WebAssembly.Memory} q
 * @property {() => void} r runs the constructors
 * @property {(bytes: number) => number} s where a model is to be written
 * @property {() => number} t where the input is
 * @property {() => number} u height of the input
 * @property {() => number} v its width
 * @property {() => number} x where the output is
 * @property {(bytes: number) => number} B reads the model; 0: it could
 * @property {() => number} C runs it
 *
 * @typedef {object} Segmenter
 * @property {() => Float32Array} input red, green and blue of each pixel, from 0 to 1
 * @property {() => Float32Array} run how likely each pixel of the input is of a person, from 0 to 1
 */

/**
 * @returns {Promise<Segmenter>}
 * @throws {Error} it does not come, or does not run in this browser
 */
export async function loadSegmenter() {
  /** @type {WebAssembly.Memory | null} */
  let memory = null;
  const imports = importsOf(() => /** @type {WebAssembly.Memory} */ (memory));
  const [{ instance }, model] = await Promise.all([
    WebAssembly.instantiateStreaming(fetched(RUNTIME), { a: imports }),
    fetched(MODEL).then((response) => response.arrayBuffer()),
  ]);
  const runtime = /** @type {Exports} */ (/** @type {unknown} */ (instance.exports));
  memory = runtime.q;
  runtime.r();
  const at = runtime.s(model.byteLength);
  new Uint8Array(runtime.q.buffer).set(new Uint8Array(model), at);
  if (runtime.B(model.byteLength) !== 0) throw new Error("the model cannot be read");
  if (runtime.v() !== WIDTH || runtime.u() !== HEIGHT) throw new Error("the model looks at another size");
  return {
    // Memory that grows is another buffer: the views are made anew each time.
    input: () => new Float32Array(runtime.q.buffer, runtime.t(), WIDTH * HEIGHT * 3),
    run() {
      runtime.C();
      return new Float32Array(runtime.q.buffer, runtime.x(), WIDTH * HEIGHT);
    },
  };
}

/** @param {URL} url @returns {Promise<Response>} */
async function fetched(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname}: ${response.status}`);
  return response;
}

/**
 * What the runtime asks of its environment, by the names that its build gave: a clock and memory. There are no files, no environment
 * and no threads.
 *
 * @param {() => WebAssembly.Memory} memory
 * @returns {Record<string, (...given: number[]) => number | void>}
 */
function importsOf(memory) {
  const view = () => new DataView(memory().buffer);
  return {
    // abort
    a() {
      throw new Error("the runtime has given up");
    },
    // fd_write: what it logs is dropped
    b(_file, vectors, count, written) {
      let bytes = 0;
      for (let index = 0; index < count; index++) bytes += view().getUint32(vectors + 8 * index + 4, true);
      view().setUint32(written, bytes, true);
      return 0;
    },
    c: () => EAGAIN, // pthread_create
    d: () => 0, // dlsym
    e: () => EINVAL, // pthread_join
    // environ_sizes_get
    f(count, size) {
      view().setUint32(count, 0, true);
      view().setUint32(size, 0, true);
      return 0;
    },
    g: () => 0, // fd_close
    h: () => MOST_MEMORY, // emscripten_get_heap_max
    i: () => 0, // dlopen
    // exit
    j() {
      throw new Error("the runtime has ended");
    },
    k: () => 0, // fd_seek
    // emscripten_memcpy_big
    l(to, from, bytes) {
      new Uint8Array(memory().buffer).copyWithin(to, from, from + bytes);
    },
    // emscripten_resize_heap
    m(bytes) {
      const size = bytes >>> 0;
      if (size > MOST_MEMORY) return 0;
      try {
        memory().grow(Math.max(0, Math.ceil((size - memory().buffer.byteLength) / PAGE)));
        return 1;
      } catch {
        return 0;
      }
    },
    // clock_gettime
    n(_clock, time) {
      const now = performance.now();
      view().setInt32(time, Math.trunc(now / 1_000), true);
      view().setInt32(time + 4, Math.trunc((now % 1_000) * 1e6), true);
      return 0;
    },
    o() {}, // emscripten_thread_sleep
    p: () => 0, // environ_get
  };
}
