"""The words of the pages: none is missing in a language, and names in them stay."""

import ast
import pickle
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import get_args

import pytest
from babel.messages.pofile import read_po
from jinja2 import nodes

from stream.console.web import webhooks
from stream.console.web.pages import account, audit, render
from stream.console.web.signin.rights import RANKS
from stream.console.web.words import FOLDER, chosen_language, words_of
from stream.decide import policy, reasons
from stream.errors import ErrorCode
from stream.texts import Text, read_text, text_of

STREAM = Path(render.__file__).parents[3]
SAYS = {"t": 0, "Text": 0, "Problem": 1}
"""Which argument of a call is the text."""
STATUSES = (400, 401, 403, 404, 405, 408, 409, 412, 413, 421, 422, 428, 429, 500, 503, 504)
TABLES = (
    render.STATE_NAMES, render.ORDER_NAMES, render.SCOPE_NAMES, render.REASON_NAMES,
    render.VERDICT_NAMES, render.OUTCOME_NAMES, render.ROLE_NAMES, render.STEP_NAMES,
    render.STATUS_NAMES, audit.DETAIL_NAMES,
)  # fmt: skip


def texts() -> set[str]:
    """Every text that pages show."""
    named = {str(text) for table in TABLES for text in table.values()}
    titles = {HTTPStatus(status).phrase for status in STATUSES}
    others = {
        *policy.DETAILS,
        *reasons.REASONS,
        *webhooks.WHYS,
        *RANKS,
        *account.TEXTS,
        *audit.ACTIONS,
        *get_args(ErrorCode),
        *titles,
    }
    return {*of_templates(), *of_code(), *named, *others}


def of_templates() -> Iterator[str]:
    """Those of `t("…")` in templates."""
    for file in render.FOLDER.glob("*.html"):
        for call in render.templates().parse(file.read_text()).find_all(nodes.Call):
            first = call.args[0] if call.args else None
            if getattr(call.node, "name", "") == "t" and isinstance(first, nodes.Const):
                yield str(first.value)


def of_code() -> Iterator[str]:
    """Those of `t("…")`, `Text("…")` and `Problem(404, "…")` in Python."""
    return (str(text.value) for _, text in calls() if isinstance(text, ast.Constant))


def calls() -> Iterator[tuple[str, ast.expr]]:
    """What is called that says a text to people, and the text."""
    for file in STREAM.rglob("*.py"):
        code = file.read_text()
        if "rich.text" in code:
            continue  # whose `Text` is another one
        for node in ast.walk(ast.parse(code)):
            name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if isinstance(node, ast.Call) and len(node.args) > SAYS.get(name, len(node.args)):
                yield name, node.args[SAYS[name]]


def test_codes_of_errors_are_said_in_english_with_the_code_behind() -> None:
    said = words_of("en")
    for code in get_args(ErrorCode):
        assert re.fullmatch(rf"[a-z' ]+ \({code}\)", said(code))
    assert said("nothing here") == "nothing here"


@pytest.mark.parametrize("language", ["zh"])
def test_every_text_is_translated(language: str) -> None:
    words = words_of(language)
    assert len(texts()) > 100
    assert [text for text in sorted(texts()) if words(text) == text] == []


def test_what_is_wrong_is_said_in_texts_that_can_be_translated() -> None:
    wrong = [
        ast.unparse(text)
        for name, text in calls()
        if name == "Problem"
        and isinstance(text, ast.JoinedStr | ast.Call)
        # What is put together where it is said, or out of an error, is English for ever.
        and getattr(getattr(text, "func", None), "id", "") not in ("Text", "rejection")
    ]
    assert wrong == []


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


def test_a_text_is_said_whole_with_the_texts_in_it() -> None:
    values = {"name": "{x}", "role": Text("viewer"), "least": Text("reviewer")}
    told = Text("{name} is {role}, expected {least} or more", **values)
    assert told == words_of("en")(told) == "{x} is viewer, expected reviewer or more"
    said = words_of("zh")(told)
    assert "{x}" in said and "viewer" not in said and words_of("zh")("reviewer") in said
    assert pickle.loads(pickle.dumps(told)).values == told.values
    error = ValueError(told)
    assert text_of(error) is told and text_of(ValueError("plain")) == "plain"


KEPT = policy.DETAILS + reasons.REASONS + webhooks.WHYS


@pytest.mark.parametrize("english", KEPT)
def test_what_was_kept_is_said_by_the_text_that_it_was_made_of(english: str) -> None:
    values = {name: f"{name} of it" for name in re.findall(r"{(\w+)}", english)}
    told = read_text(english.format(**values), KEPT)
    assert isinstance(told, Text) and (told.english, told.values) == (english, values)
    assert told == english.format(**values) and words_of("zh")(told) != told


def test_what_is_of_no_known_text_stays_as_it_is() -> None:
    told = read_text("200 {others} of it", policy.DETAILS)
    assert told == words_of("zh")(told) == "200 {others} of it"


def test_an_unknown_language_is_english() -> None:
    assert words_of("xx")("Queue") == "Queue"
    assert words_of("en")("taken by {name}", name="{x}") == "taken by {x}"
