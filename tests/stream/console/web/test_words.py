"""The words of the pages: none is missing in a language, and names in them stay."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from jinja2 import nodes

from stream.console.web.pages import account, audit, render
from stream.console.web.signin.rights import RANKS
from stream.console.web.words import FOLDER, chosen_language, words_of

WEB = Path(render.__file__).parents[1]
TABLES = (
    render.STATE_NAMES, render.ORDER_NAMES, render.SCOPE_NAMES, render.REASON_NAMES,
    render.VERDICT_NAMES, render.OUTCOME_NAMES, render.ROLE_NAMES, render.STEP_NAMES,
    render.STATUS_NAMES, audit.DETAIL_NAMES,
)  # fmt: skip


def texts() -> set[str]:
    """Every text that pages show."""
    named = {str(text) for table in TABLES for text in table.values()}
    return {*of_templates(), *of_code(), *named, *RANKS, *account.TEXTS, *audit.ACTIONS}


def of_templates() -> Iterator[str]:
    """Those of `t("…")` in templates."""
    for file in render.FOLDER.glob("*.html"):
        for call in render.templates().parse(file.read_text()).find_all(nodes.Call):
            first = call.args[0] if call.args else None
            if getattr(call.node, "name", "") == "t" and isinstance(first, nodes.Const):
                yield str(first.value)


def of_code() -> Iterator[str]:
    """Those of `t("…")` in Python."""
    for file in WEB.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            called = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "t"
            first = getattr(node, "args", [None])[0] if called else None
            if isinstance(first, ast.Constant):
                yield str(first.value)


@pytest.mark.parametrize("language", ["zh"])
def test_every_text_is_translated(language: str) -> None:
    words = words_of(language)
    assert len(texts()) > 100
    assert [text for text in sorted(texts()) if words(text) == text] == []


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.po")), ids=lambda file: file.stem)
def test_a_translation_names_what_its_text_names(file: Path) -> None:
    with file.open("rb") as lines:
        catalogue = read_po(lines)
    for message in catalogue:
        if message.id:
            names = re.findall(r"{\w+}", str(message.id))
            assert sorted(re.findall(r"{\w+}", str(message.string))) == sorted(names)


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [(None, None, "en"), (None, "zh-TW,zh;q=0.9,en;q=0.8", "zh"), (None, "de, en;q=0.3", "en"),
     ("zh", "en", "zh"), ("xx", "zh", "zh"), (None, "en;q=0.2,zh;q=0.9", "zh"),
     (None, "zh;q=much", "en"), (None, "," * 1000, "en")],
)  # fmt: skip
def test_the_language_is_the_chosen_one_or_the_browsers(
    cookie: str | None, accepted: str | None, language: str
) -> None:
    assert chosen_language(cookie, accepted, ("en", "zh")) == language


def test_an_unknown_language_is_english() -> None:
    assert words_of("xx")("Queue") == "Queue"
    assert words_of("en")("taken by {name}", name="{x}") == "taken by {x}"
