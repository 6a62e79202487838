"""What is said of a cluster's topics that are set otherwise; `tests/kafka` asks a real cluster."""

from stream.broker.topics import _config_problems
from stream.contract.topics import Topic, load_topics

BEFORE = {
    "cleanup.policy": "compact",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "max.message.bytes": "1048576",
    "min.insync.replicas": "1",
    "min.compaction.lag.ms": "2592000000",
    "delete.retention.ms": "7776000000",
    "message.timestamp.type": "CreateTime",
}
"""Of `alert.reviewed`, as earlier releases made it."""


def reviewed() -> Topic:
    (topic,) = (topic for topic in load_topics() if topic.name == "alert.reviewed")
    return topic


def test_verdicts_of_an_earlier_release_are_read_on_with_a_warning_that_says_what_to_alter() -> (
    None
):
    problems = _config_problems("t.alert.reviewed", reviewed(), BEFORE, 1)
    assert [problem.fatal for problem in problems] == [False, False]
    cleanup, size = (problem.text for problem in problems)
    assert cleanup.startswith("t.alert.reviewed has cleanup.policy compact, expected delete: when")
    assert cleanup.endswith(
        "--entity-name t.alert.reviewed --add-config "
        "cleanup.policy=delete,max.message.bytes=5242880`"
    )
    assert size.startswith("t.alert.reviewed has max.message.bytes 1048576, expected at least 524")


def test_a_topic_that_would_drop_what_is_no_longer_compacted_is_altered_in_one_command() -> None:
    found = BEFORE | {"retention.ms": "604800000", "retention.bytes": "1000"}
    cleanup, *others = (
        problem.text for problem in _config_problems("alert.reviewed", reviewed(), found, 1)
    )
    added = "cleanup.policy=delete,retention.ms=-1,retention.bytes=-1,max.message.bytes=5242880`"
    assert cleanup.endswith(f"--add-config {added}")
    assert [text.split(", expected")[0] for text in others] == [
        "alert.reviewed has retention.ms 604800000",
        "alert.reviewed has retention.bytes 1000",
        "alert.reviewed has max.message.bytes 1048576",
    ]


def test_what_topics_create_makes_fits_and_any_other_cleanup_ends_a_worker() -> None:
    topic = reviewed()
    made = BEFORE | topic.config(1)
    assert _config_problems("alert.reviewed", topic, made, 1) == []
    mixed = made | {"cleanup.policy": "compact,delete"}
    assert [one.fatal for one in _config_problems("alert.reviewed", topic, mixed, 1)] == [True]
