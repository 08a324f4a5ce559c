/**
 * How a call fills the screen: whole screen, a window above others, side by side, the own picture. Each is an entry of the call's
 * menu, and is remembered.
 *
 * @typedef {import("./callscreen.js").CallView} CallView
 * @typedef {import("./viewchoice.js").ViewChoice} ViewChoice
 */
import { createOwnPicture } from "./ownpicture.js";
import { createPictureInPicture } from "./pictureinpicture.js";
import { keepViewChoice, readViewChoice } from "./viewchoice.js";

/**
 * @param {HTMLElement} root the call screen
 * @param {ReturnType<typeof import("../ui/menu.js").createMenu>} menu
 * @param {ReturnType<typeof import("./videos.js").createRemoteVideo>} person
 * @param {ReturnType<typeof import("./videos.js").createLocalVideo>} own
 * @param {{onChange: () => void, onKeys: () => void, onMute: () => void, onEnd: () => void}} actions
 */
export function createView(root, menu, person, own, { onChange, onKeys, onMute, onEnd }) {
  const choice = readViewChoice();
  const small = createPictureInPicture(person.element, { onMute, onEnd, onChange });
  const picture = createOwnPicture(own.element, {
    onHide: () => choose({ ownHidden: true }),
    onCorner: (corner) => choose({ corner }),
  });
  menu.separate();
  const whole = menu.add("full-screen", () => void toggleFullScreen());
  const above = menu.add("picture-in-picture", () => void small.toggle());
  const layout = menu.add("layout", () => choose({ layout: choice.layout === "side" ? "over" : "side" }));
  const fit = menu.add("fit", () => choose({ fit: person.fit() === "cover" ? "fit" : "fill" }));
  const hide = menu.add("own-picture", () => choose({ ownHidden: !choice.ownHidden }));
  const keys = menu.add("shortcuts", onKeys);
  keys.set("Keyboard shortcuts", "keyboard");
  document.addEventListener("fullscreenchange", onChange);

  /** @param {Partial<ViewChoice>} changes */
  function choose(changes) {
    Object.assign(choice, changes);
    keepViewChoice(choice);
    onChange();
  }

  return {
    /** What the user has chosen; `choose` changes it. @type {Readonly<ViewChoice>} */
    choice,
    choose,
    toggleFullScreen,
    /** @param {CallView} call */
    ownIsShown: (call) => !(choice.ownHidden && call.isAnswered),
    /** @param {CallView} call @param {string} view of the screen, as of its `data-view` */
    render(call, view) {
      const seen = view === "video" || view === "screen";
      root.dataset.layout = choice.layout;
      if (choice.corner) root.dataset.corner = choice.corner;
      else delete root.dataset.corner;
      root.toggleAttribute("data-own", !own.element.hidden);
      person.setFit(choice.fit);
      picture.render(call, call.isAnswered && view !== "preview" && !(view === "video" && choice.layout === "side"));
      small.render(call, view);
      whole.element.hidden = !document.fullscreenEnabled;
      whole.set(document.fullscreenElement ? "Leave full screen" : "Full screen", document.fullscreenElement ? "shrink" : "expand");
      above.element.hidden = !small.isPossible || !call.isAnswered;
      above.set(small.isOpen ? "Close the small window" : "Picture in picture", "smallWindow");
      layout.element.hidden = !seen || own.element.hidden;
      layout.set(choice.layout === "side" ? "Your picture in a corner" : "Side by side", choice.layout === "side" ? "corner" : "columns");
      fit.element.hidden = view !== "video";
      fit.set(person.fit() === "cover" ? "Show the whole picture" : "Fill the screen", person.fit() === "cover" ? "shrink" : "expand");
      hide.element.hidden = !(call.kind === "video" && call.leg.hasCamera && call.isAnswered);
      hide.set(choice.ownHidden ? "Show your picture" : "Hide your picture", choice.ownHidden ? "eye" : "eyeOff");
    },
    /** The call is no longer on the screen. */
    close() {
      small.close();
      if (document.fullscreenElement) void document.exitFullscreen().catch(() => {});
    },
  };
}

/** The page as a whole: what lies over a call is to be seen then, too. */
async function toggleFullScreen() {
  try {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await document.documentElement.requestFullscreen();
  } catch {
    // The page around this one does not allow it.
  }
}
