"""axe-core in a page: what users of screen readers, of keyboards and of high contrast would stumble over (WCAG 2.2)."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from playwright.async_api import Page

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
