"""What axe says of a page: whether everybody can use it."""

from importlib.resources import files

from playwright.async_api import Page


def axe() -> str:
    """The script of axe, for `violations`."""
    return files("axe_playwright_python").joinpath("axe.min.js").read_text()


async def violations(page: Page, *, contrast: bool) -> list[str]:
    """What axe, which is there already, finds against WCAG 2.2 AA.

    Args:
        page: as it is seen now.
        contrast: whether colours are looked at, which takes most of the time; another language has
            the same.
    """
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    options = {
        "runOnly": tags, "preload": False, "rules": {"color-contrast": {"enabled": contrast}},
    }  # fmt: skip
    found = await page.evaluate(
        "options => axe.run(options).then(found => found.violations)", options
    )
    return [
        f"{each['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for each in found
        for node in each["nodes"]
    ]
