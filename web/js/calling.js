/** What it takes to call and to be called. Loaded behind the first screen, which needs none of it. */
export { MediaUnavailable } from "./media.js";
export { UpdateFailed } from "./negotiation.js";
export { close, openSession } from "./session.js";
export { Sounds } from "./sounds.js";
export { createCallScreen } from "./ui/callscreen.js";
export { createIncoming } from "./ui/incoming.js";
export { createTransferChooser } from "./ui/transfer.js";
