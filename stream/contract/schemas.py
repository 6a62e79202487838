"""Writes the contract for other languages: JSON Schemas and an AsyncAPI 3 document in `kafka/`.

`make contract` after a change to `events.py`, `kafka/topics.toml` or `kafka/examples`; a test fails
while the files are stale.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import yaml

from stream.contract.events import EVENTS, Event, OutsideEvent, VideoUploaded
from stream.contract.message import ATTEMPTS_HEADER
from stream.contract.order import SUBMISSION_HEADER
from stream.contract.topics import Topic, load_topics

# Of the source tree: what is written here is committed, and compared with the code by a test.
FOLDER = Path(__file__).resolve().parents[2] / "kafka"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
ROLES = {
    "fingerprint workers": "fingerprint",
    "library shards": "library",
    "decision workers": "decide",
}
INFO = {
    "title": "samesource",
    "version": "1.0.0",
    "description": (
        "Finds which seconds of an uploaded video copy which seconds of which known video.\n"
        "Delivery is at least once: the same event may come again, with the same ids. Readers "
        "ignore fields that they don't know."
    ),
    "license": {"name": "Apache-2.0"},
}

Json = dict[str, Any]


def contract_files() -> dict[str, bytes]:
    """Every generated file: its path below `kafka/` and its content."""
    files = {
        f"schemas/{topic}.json": orjson.dumps(
            schema_of(event), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        )
        for topic, event in EVENTS.items()
    }
    files["asyncapi.yaml"] = yaml.safe_dump(
        asyncapi(), sort_keys=False, allow_unicode=True, width=100
    ).encode()
    return files


def stale_files(folder: Path = FOLDER) -> list[str]:
    """Paths below the folder that differ from what would be written, or shouldn't be there."""
    wanted = contract_files()
    differing = [
        path
        for path, content in wanted.items()
        if not (folder / path).is_file() or (folder / path).read_bytes() != content
    ]
    found = (f"schemas/{file.name}" for file in (folder / "schemas").glob("*"))
    return sorted(differing + [path for path in found if path not in wanted])


def write_contract(folder: Path = FOLDER) -> None:
    """Write the generated files and remove the schemas of events that are gone."""
    (folder / "schemas").mkdir(parents=True, exist_ok=True)
    for path in stale_files(folder):
        (folder / path).unlink(missing_ok=True)
    for path, content in contract_files().items():
        (folder / path).write_bytes(content)


def schema_of(event: type[Event]) -> Json:
    """The JSON Schema of a message value: what a writer must send."""
    schema = {"$schema": DIALECT} | event.model_json_schema()
    if issubclass(event, OutsideEvent):
        schema["properties"] = {
            name: field if name in schema["required"] else _or_null(field)
            for name, field in schema["properties"].items()
        }
    return schema


def _or_null(field: Json) -> Json:
    about = {name: field[name] for name in ("default", "description", "title") if name in field}
    rest = {name: value for name, value in field.items() if name not in about}
    kinds = rest.get("anyOf", [rest])
    null = {"type": "null"}
    return {"anyOf": kinds if null in kinds else [*kinds, null]} | about


def examples_of(topic: str) -> list[Json]:
    """Whole message values, from `kafka/examples`."""
    examples: list[Json] = orjson.loads((FOLDER / "examples" / f"{topic}.json").read_bytes())
    return examples


def asyncapi() -> Json:
    """The AsyncAPI 3.0 document, from this service's side: it receives uploads, it sends alerts."""
    topics = [topic for topic in load_topics() if topic.name in EVENTS]
    return {
        "asyncapi": "3.0.0",
        "info": INFO,
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:9092",
                "protocol": "kafka",
                "description": "`samesource broker start`",
            }
        },
        "channels": {topic.name: _channel(topic) for topic in topics},
        "operations": {
            name: operation for topic in topics for name, operation in _operations(topic)
        },
        "components": {
            "messages": {EVENTS[topic.name].__name__: _message(topic) for topic in topics}
        },
    }


def _channel(topic: Topic) -> Json:
    event = EVENTS[topic.name]
    config = topic.config(replication_factor=1)
    return {
        "address": topic.name,
        "description": (
            f"From {', '.join(topic.producers)}. For {', '.join(topic.consumers)}. "
            "A cluster may put a prefix in front of the name."
        ),
        "messages": {event.__name__: {"$ref": f"#/components/messages/{event.__name__}"}},
        "bindings": {
            "kafka": {
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": topic.cleanup.split(","),
                    "retention.ms": int(config["retention.ms"]),
                    "max.message.bytes": topic.max_message_bytes,
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operations(topic: Topic) -> Iterator[tuple[str, Json]]:
    """One operation for each role of the service that sends or receives on the topic."""
    event = EVENTS[topic.name].__name__
    for action, parties in (("send", topic.producers), ("receive", topic.consumers)):
        for party in parties:
            role = ROLES.get(party.partition(":")[0])
            if role is not None:
                yield (
                    f"{role}.{action}.{event}",
                    {
                        "action": action,
                        "channel": {"$ref": f"#/channels/{topic.name}"},
                        "summary": f"{party} {action} {topic.name}",
                        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{event}"}],
                    },
                )


def _message(topic: Topic) -> Json:
    event = EVENTS[topic.name]
    key = {"type": "string", "description": topic.key}
    message: Json = {
        "name": event.__name__,
        "summary": (event.__doc__ or "").splitlines()[0],
        "contentType": "application/json",
        "payload": {"$ref": f"./schemas/{topic.name}.json"},
        "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}},
        "examples": [{"payload": example} for example in examples_of(topic.name)],
    }
    if event is VideoUploaded:
        about = "How often this upload was submitted, as digits; set when a dead letter is replayed"
        attempts = {"type": "string", "pattern": "^[0-9]+$", "description": about}
        about = "Where the original of a replayed dead letter lies: JSON, as `submission` elsewhere"
        submission = {"type": "string", "description": about}
        properties = {ATTEMPTS_HEADER: attempts, SUBMISSION_HEADER: submission}
        message["headers"] = {"type": "object", "properties": properties}
    return message


if __name__ == "__main__":
    for stale in stale_files():
        print(f"kafka/{stale}")
    write_contract()
