"""What has come of a probe: when it is all, whose it is, and what is missing."""

from stream.admin.match import Answers
from stream.contract.events import ProbeAnswered
from tests.stream.probes import answered


def refusal(shard: int | None = None, shards: int | None = None) -> ProbeAnswered:
    return ProbeAnswered(
        probe_id="p", shard=shard, shards=shards, error="timeout", message="too late"
    )


def after(*said: ProbeAnswered) -> Answers:
    answers = Answers("p")
    for one in said:
        answers = answers.and_also(one)
    return answers


def test_nothing_has_come() -> None:
    answers = after()
    assert (answers.is_over, answers.is_complete, answers.shards) == (False, False, None)
    assert (answers.matches, answers.missing) == ([], [])


def test_all_shards_of_a_count_are_all_there_is() -> None:
    answers = after(answered("p", 1, "b", "a"), answered("p", 1, "z"))
    assert (answers.is_over, answers.missing) == (False, [0])
    answers = answers.and_also(answered("p", 0))
    assert (answers.is_over, answers.is_complete, answers.missing) == (True, True, [])
    assert [match.reference_id for match in answers.matches] == ["a", "b"]


def test_a_refusal_of_the_whole_is_the_end() -> None:
    answers = after(answered("p", 1), refusal())
    assert answers.is_over
    assert not answers.is_complete
    assert answers.refusal == refusal()


def test_a_shard_that_refuses_has_said_something_and_compared_nothing() -> None:
    answers = after(answered("p", 1), refusal(0, 2))
    assert (answers.is_over, answers.is_complete, answers.missing) == (True, False, [])
    assert answers.refused == [refusal(0, 2)]


def test_an_answer_of_a_replica_outweighs_a_refusal_before_or_behind_it() -> None:
    both = [refusal(0, 1), answered("p", 0, "a", shards=1)]
    assert after(*both).is_complete
    assert after(*reversed(both)).is_complete


def test_where_two_counts_answer_the_one_that_is_whole_counts() -> None:
    answers = after(answered("p", 0, shards=1), answered("p", 0, shards=2))
    assert (answers.shards, answers.is_complete) == (1, True)
    refusing = after(refusal(0, 1), answered("p", 0, shards=2))
    assert not refusing.is_over, "the other count may still be whole"
    assert refusing.and_also(answered("p", 1, shards=2)).is_complete
