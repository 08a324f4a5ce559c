"""axe-core in a page: what users of screen readers, of keyboards and of high contrast would stumble over (WCAG 2.2)."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final, Literal

from playwright.async_api import Page, ViewportSize

_SCRIPT: Final = Path(__file__).parents[1] / "foreign" / "clients" / "node_modules" / "axe-core" / "axe.min.js"

_RUN: Final = """
async (rules) => {
  // What is just appearing is still pale.
  for (const one of document.getAnimations()) if (one.effect.getComputedTiming().endTime < Infinity) one.finish();
  const { violations } = await axe.run(document, { resultTypes: ["violations"], ...(rules.length && { runOnly: rules }) });
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) =>
    `${target.join(" ")} (${failureSummary})`).join("; ")}`);
}
"""

OF_COLOURS: Final = ("color-contrast", "link-in-text-block")
"""The rules by which colours matter."""

ENDS: Final[tuple[tuple[Literal["light", "dark"], ViewportSize], ...]] = (
    ("light", ViewportSize(width=320, height=800)),
    ("dark", ViewportSize(width=1280, height=720)),
)
"""A small phone by day, and a desktop by night, of which only the colours are looked at."""


@cache
def _source() -> str:
    return _SCRIPT.read_text(encoding="utf-8")


async def violations(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """What axe-core finds in the page as it is now: rule, element, and what to do.

    Args:
        rules: by their names; by default all.
    """
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(_source())
    return [str(one) for one in await page.evaluate(_RUN, list(rules))]


async def violations_at_both_ends(page: Page) -> list[str]:
    """What axe-core finds on a small phone by day, and on a desktop by night, in a state that another test has led to.

    What is between them, `tests/browser/test_accessibility.py` looks at, where it goes through the page.
    """
    before = page.viewport_size
    found = []
    for scheme, size in ENDS:
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size(size)
        over = await page.evaluate("document.scrollingElement.scrollWidth") - size["width"]
        found += [f"{over} px too wide"] if over > 0 else []
        rules = OF_COLOURS if scheme == "dark" else ()
        found += [f"{scheme}, {size['width']} px: {one}" for one in await violations(page, rules)]
    await page.emulate_media(color_scheme="light")
    if before:
        await page.set_viewport_size(before)
    return found
