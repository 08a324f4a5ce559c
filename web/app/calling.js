/** What it takes to call and to be called. Loaded behind the first screen, which needs none of it. */
export { MediaUnavailable } from "../client/media/media.js";
export { UpdateFailed } from "../client/media/negotiation.js";
export { close, openSession } from "../client/session.js";
export { answer } from "./call/answer.js";
export { createCallScreen } from "./call/callscreen.js";
export { DeviceDesk } from "./devices/desk.js";
export { problemText } from "./devices/words.js";
export { createIncoming } from "./call/incoming.js";
export { createTransferChooser } from "./call/transfer.js";
export { Ringer } from "./ringing/ringer.js";
export { createRingStrip } from "./ringing/ringstrip.js";
