"""The reason of a decision: what it says, and that its parts can be said in another language."""

from stream.contract.events import AlertRaised, AlertSuppressed
from stream.decide.alert import alert_of
from stream.decide.reasons import NOTHING, RAISED_MORE, SUPPRESSED_ONE, parts_of, reason_of
from stream.texts import Text
from tests.stream.answers import answer, match


def raised(reference_id: str) -> AlertRaised:
    return alert_of(answer(0), match(reference_id))


def suppressed(reference_id: str, reason: str) -> AlertSuppressed:
    fields = raised(reference_id).model_dump() | {"reason": reason, "detail": "why"}
    return AlertSuppressed.model_validate(fields)


def test_a_reason_names_what_is_copied_held_and_kept_back() -> None:
    video_id = answer(0).video_id
    assert reason_of(video_id, [], []) == NOTHING == "nothing in the library is copied"
    assert reason_of(video_id, [raised("b"), raised("a")], []) == "shares footage with a, b"
    kept = [suppressed("h", "held"), suppressed("l", "licensed"), suppressed("m", "licensed"),
            suppressed("d", "dismissed")]  # fmt: skip
    assert reason_of(video_id, [raised("a")], kept) == (
        "shares footage with a; held for review: footage of h; "
        "3 matches suppressed (1 dismissed, 2 licensed)"
    )
    assert reason_of(video_id, [], kept[-1:]) == "1 match suppressed (1 dismissed)"


def test_of_many_the_first_ten_are_named() -> None:
    many = [raised(f"r{number:02}") for number in range(12)]
    said = reason_of(answer(0).video_id, many, [])
    assert said.endswith("r08, r09 and 2 more") and "r10" not in said


def test_its_parts_are_known_again() -> None:
    many = [raised(f"r{number:02}") for number in range(12)]
    said = reason_of(answer(0).video_id, many, [suppressed("l", "licensed")])
    first, second = parts_of(said)
    assert isinstance(first, Text) and isinstance(second, Text)
    assert (first.english, second.english) == (RAISED_MORE, SUPPRESSED_ONE)
    assert first.values["more"] == "2" and "; ".join([first, second]) == said
    (other,) = parts_of("corrupt: no moov atom")
    assert other == "corrupt: no moov atom" and not isinstance(other, Text)
