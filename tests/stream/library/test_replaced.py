"""Replaced versions: so many of each video, and those of so many log entries."""

from hypothesis import given
from hypothesis import strategies as st

from stream.library.replaced import ReplacedVersions


@given(
    steps=st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=60),
    of_each=st.integers(0, 4),
    keep=st.integers(0, 10),
)
def test_what_is_kept_is_what_a_plain_list_says(
    steps: list[tuple[int, bool]], of_each: int, keep: int
) -> None:
    replaced, kept = ReplacedVersions(of_each), set[int]()
    plain: list[tuple[int, int]] = []  # video, offset
    for offset, (video, removed) in enumerate(steps):
        if removed:
            replaced.drop(video)
            kept -= {at for one, at in plain if one == video}
            plain = [pair for pair in plain if pair[0] != video]
            continue
        kept.add(offset)
        kept -= {*replaced.add(video, offset, offset)}
        kept -= {*replaced.pop_before(offset - keep)}
        plain.append((video, offset))
        of_this = [pair for pair in plain if pair[0] == video][-of_each:] if of_each else []
        plain = [
            pair for pair in plain if (pair[0] != video or pair in of_this)
            and pair[1] >= offset - keep
        ]  # fmt: skip
        assert kept == {at for _, at in plain}
