"""What became of requests that no decision came of, as the topics tell it.

Serves `faulty_run`: says where an upload was lost, or that only the client missed its decision.
"""

from collections import defaultdict
from collections.abc import Collection
from typing import Any

import orjson

from stream.broker.client import Reader
from stream.broker.settings import KafkaSettings
from stream.decide.joins import CHANGELOG

TOPICS = ("video.fingerprinted", "video.compared", "video.rejected", CHANGELOG, "video.decided")


def traces(kafka: KafkaSettings, requests: Collection[str]) -> dict[str, list[str]]:
    """Where each request left a trace: topic, partition, offset and what was said in short.

    Args:
        kafka: the running cluster.
        requests: their ids.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for topic in TOPICS:
        with Reader(kafka, topic) as reader:
            for _, message in reader.until_now():
                said = orjson.loads(message.value() or b"{}")
                key = (message.key() or b"").decode(errors="replace")
                request = key if topic == CHANGELOG else said.get("request_id")
                if request in requests:
                    place = f"{topic} {message.partition()}/{message.offset()}"
                    found[request].append(f"{place}: {_brief(topic, said)}")
    return {request: found[request] for request in requests}


def _brief(topic: str, said: dict[str, Any]) -> str:
    if topic == CHANGELOG:
        return f"answers {[*said.get('answers', ())]}, {[*said.keys() - {'answers'}]}"
    names = ("shard", "outcome", "error", "video_id")
    return ", ".join(f"{name} {said[name]}" for name in names if name in said)
