"""The generated contract: fresh, valid, and saying the same as the event classes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from stream.contract.events import EVENTS, OutsideEvent, VideoUploaded
from stream.contract.schemas import (
    FOLDER,
    ROLES,
    asyncapi,
    contract_files,
    examples_of,
    schema_of,
    stale_files,
    write_contract,
)
from stream.contract.topics import load_topics
from stream.errors import BadEventError

DOCUMENT = FOLDER.parent / "docs" / "contract.md"
EXAMPLES = [(topic, example) for topic in EVENTS for example in examples_of(topic)]


def test_the_committed_files_are_fresh() -> None:
    assert stale_files() == [], "run `python -m stream.contract.schemas`"


def test_a_changed_a_missing_and_a_left_over_file_are_stale(tmp_path: Path) -> None:
    write_contract(tmp_path)
    assert stale_files(tmp_path) == []
    (tmp_path / "asyncapi.yaml").write_text("changed")
    (tmp_path / "schemas" / "video.uploaded.json").unlink()
    (tmp_path / "schemas" / "video.gone.json").write_text("{}")
    assert stale_files(tmp_path) == [
        "asyncapi.yaml",
        "schemas/video.gone.json",
        "schemas/video.uploaded.json",
    ]
    write_contract(tmp_path)
    assert stale_files(tmp_path) == []


@pytest.mark.parametrize("topic", EVENTS)
def test_every_schema_is_a_valid_json_schema(topic: str) -> None:
    Draft202012Validator.check_schema(schema_of(EVENTS[topic]))


@pytest.mark.parametrize(("topic", "example"), EXAMPLES)
def test_every_example_fits_its_schema_and_its_class(topic: str, example: dict[str, Any]) -> None:
    event = EVENTS[topic].from_json(example)
    validator = Draft202012Validator(schema_of(EVENTS[topic]))
    validator.validate(example)
    validator.validate(json.loads(event.to_bytes()))


@pytest.mark.parametrize(("topic", "example"), EXAMPLES)
def test_schema_and_class_require_the_same_fields(topic: str, example: dict[str, Any]) -> None:
    validator = Draft202012Validator(schema_of(EVENTS[topic]))
    for name in example:
        less = {key: value for key, value in example.items() if key != name}
        assert validator.is_valid(less) == is_read(topic, less), name


@pytest.mark.parametrize(
    ("topic", "example"),
    [(topic, example) for topic, example in EXAMPLES if issubclass(EVENTS[topic], OutsideEvent)],
)
def test_what_others_write_as_null_counts_as_left_out(topic: str, example: dict[str, Any]) -> None:
    validator = Draft202012Validator(schema_of(EVENTS[topic]))
    for name in EVENTS[topic].model_fields:
        less = {key: value for key, value in example.items() if key != name}
        null = less | {name: None}
        assert validator.is_valid(null) == is_read(topic, null) == is_read(topic, less), name
        if is_read(topic, less):
            assert EVENTS[topic].from_json(null) == EVENTS[topic].from_json(less), name


def test_the_events_that_others_write_are_those_that_no_worker_writes() -> None:
    written = {topic.name for topic in load_topics() if ROLES.keys().isdisjoint(topic.producers)}
    assert {topic for topic in EVENTS if issubclass(EVENTS[topic], OutsideEvent)} == written


def is_read(topic: str, fields: dict[str, Any]) -> bool:
    try:
        EVENTS[topic].from_json(fields)
    except BadEventError:
        return False
    return True


@settings(deadline=None)
@given(
    # Left out: the class also takes a number for a time, and `true` for the number 1.
    name=st.sampled_from(
        sorted(VideoUploaded.model_fields.keys() - {"uploaded_at", "schema_version"})
    ),
    value=st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just([]),
)
def test_what_the_schema_refuses_the_class_refuses(name: str, value: object) -> None:
    fields = examples_of("video.uploaded")[0] | {name: value}
    if not Draft202012Validator(schema_of(VideoUploaded)).is_valid(fields):
        assert not is_read("video.uploaded", fields)


def test_every_topic_of_the_contract_has_a_channel_and_every_event_a_topic() -> None:
    public = [topic.name for topic in load_topics() if not topic.internal]
    assert sorted(public) == sorted(EVENTS)
    assert list(asyncapi()["channels"]) == public


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = yaml.safe_load(contract_files()["asyncapi.yaml"])
    references = list(references_of(document))
    assert len(references) > 3 * len(EVENTS)
    for reference in references:
        if reference.startswith("./"):
            assert (FOLDER / reference).is_file(), reference
        else:
            node = document
            for part in reference.removeprefix("#/").split("/"):
                node = node[part]


def references_of(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for item in node for found in references_of(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [found for item in node.values() for found in references_of(item)]


def test_each_role_receives_before_it_sends() -> None:
    operations = asyncapi()["operations"]
    for role in ("fingerprint", "library", "decide"):
        assert {operations[name]["action"] for name in operations if name.startswith(role)} == {
            "send",
            "receive",
        }


def test_the_document_for_other_teams_shows_the_examples_of_every_topic() -> None:
    sections = re.split(r"^### `([\w.]+)`$", DOCUMENT.read_text(), flags=re.MULTILINE)
    shown = {
        topic: [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
        for topic, text in zip(sections[1::2], sections[2::2], strict=True)
    }
    assert shown == {topic: examples_of(topic) for topic in EVENTS}


def test_the_document_for_other_teams_names_every_field() -> None:
    text = DOCUMENT.read_text()
    for event in EVENTS.values():
        for name in event.model_fields:
            assert f"`{name}`" in text or f'"{name}"' in text, f"{event.__name__}.{name}"
