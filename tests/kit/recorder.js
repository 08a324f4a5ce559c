// Keeps what is played, in its own thread, which the page cannot hold up.
registerProcessor("recorder", class extends AudioWorkletProcessor {
  blocks = [];
  begins = null;
  constructor() {
    super();
    this.port.onmessage = () => this.port.postMessage({ blocks: this.blocks, begins: this.begins });
  }
  process([[samples]]) {
    if (samples) this.begins ??= currentFrame;
    if (this.begins !== null) this.blocks.push(samples?.slice() ?? new Float32Array(128));
    return true;
  }
});
