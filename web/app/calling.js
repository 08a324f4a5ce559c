/** What it takes to call and to be called, and what else the first screen needs none of. Loaded behind it. */
export { MediaUnavailable } from "../client/media/media.js";
export { UpdateFailed } from "../client/media/proposal.js";
export { close, openSession } from "../client/session.js";
export { answer } from "./call/answer.js";
export { createCallScreen } from "./call/callscreen.js";
export { DeviceDesk } from "./devices/desk.js";
export { problemText } from "./devices/words.js";
export { createIncoming } from "./call/incoming.js";
export { createTransferChooser } from "./call/transfer.js";
export { createRecents } from "./home/recents.js";
export { createSettings } from "./home/settings.js";
export { Lobby } from "./lobby.js";
export { Ringer } from "./ringing/ringer.js";
export { createRingStrip } from "./ringing/ringstrip.js";
export { updateProblemText } from "./ui/words.js";
