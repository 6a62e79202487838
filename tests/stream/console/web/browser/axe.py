"""What axe says of a page: whether everybody can use it."""

from importlib.resources import files
from typing import Any, Literal

from playwright.async_api import Page

OF_COLOURS = ("color-contrast", "link-in-text-block")
WCAG = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
RULES: dict[str, dict[str, Any]] = {
    "all": {"runOnly": WCAG},
    "colours": {"runOnly": {"type": "rule", "values": OF_COLOURS}},
    "others": {"runOnly": WCAG, "rules": {name: {"enabled": False} for name in OF_COLOURS}},
}
Rules = Literal["all", "colours", "others"]


def axe() -> str:
    """The script of axe, for `violations`; as one of each new document it costs the least."""
    return files("axe_playwright_python").joinpath("axe.min.js").read_text()


async def violations(page: Page, rules: Rules = "all") -> list[str]:
    """What axe, which is there already, finds against WCAG 2.2 AA.

    Args:
        page: as it is seen now.
        rules: those of colours, which take most of the time, the others, or all. In other colours a
            page has all else alike, and in another language its colours.
    """
    options = RULES[rules] | {
        "preload": False,
        "resultTypes": ["violations"],  # of others it would name all nodes
        "selectors": False,
    }
    found = await page.evaluate(
        "options => axe.run(options).then(found => found.violations)", options
    )
    return [
        f"{each['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for each in found
        for node in each["nodes"]
    ]
