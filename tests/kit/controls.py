"""What users of a page could not get at, or would not see: controls that are cut off or covered, and a focus without a sign."""

from typing import Final

from playwright.async_api import Page

_FIND: Final = """
() => {
  const modal = document.querySelector("dialog:modal");
  const shown = (one) =>
    one.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && !one.closest("[inert]")
    && (!modal || modal.contains(one));
  const nameOf = (one) =>
    `“${one.getAttribute("aria-label") ?? (one.innerText.trim() || one.dataset.testid || one.localName)}”`;
  const CONTROLS = "button, a[href], input, select, textarea, summary, [role=tab], [role=slider]";
  const found = [];
  const held = document.activeElement;
  for (const one of document.querySelectorAll(CONTROLS)) {
    if (!shown(one) || one.disabled) continue;
    // What is small is there for screen readers only; what is to be seen is its label.
    const isTiny = one.offsetWidth < 4 || one.offsetHeight < 4 || getComputedStyle(one).opacity === "0";
    const part = isTiny ? one.closest("label") : one;
    if (!part) continue;
    part.scrollIntoView({ block: "center", inline: "nearest", behavior: "instant" });
    const box = part.getBoundingClientRect();
    if (box.left < -0.5 || box.right > innerWidth + 0.5) found.push(`${nameOf(one)} is cut off at a side`);
    if (box.height <= innerHeight && (box.top < -0.5 || box.bottom > innerHeight + 0.5)) found.push(`${nameOf(one)} is cut off`);
    const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
    const at = document.elementFromPoint(x, y);
    if (!at || !(part.contains(at) || at.closest("label")?.contains(one))) {
      found.push(`${nameOf(one)} is covered by ${at ? `${at.localName}.${at.className}` : "nothing on the screen"}`);
    }
    if (one.tabIndex < 0) continue;
    one.focus({ focusVisible: true, preventScroll: true });
    if (document.activeElement !== one) continue;
    const around = [one, one.closest("label"), one.parentElement, ...one.children].filter(Boolean);
    const marked = around.some((each) => {
      const { outlineStyle, outlineWidth } = getComputedStyle(each);
      return outlineStyle !== "none" && parseFloat(outlineWidth) >= 1;
    });
    if (!marked) found.push(`${nameOf(one)} does not show that it has the focus`);
  }
  held?.focus({ preventScroll: true });
  return found;
}
"""


async def out_of_reach(page: Page) -> list[str]:
    """Which controls are cut off, covered, or do not show the focus of the keyboard; each is scrolled to first."""
    await page.keyboard.press("Shift")  # the last thing that was used is the keyboard
    return [str(one) for one in await page.evaluate(_FIND)]
