"""A message of video.embedded, and what it changes in a view."""

from pathlib import Path

import orjson
import pytest

from stream.agents.search_view import search_step
from stream.contract.message import Source
from stream.contract.order import Takedown
from stream.errors import BadEventError
from stream.search.table import Place
from tests.stream.library_log import submitted
from tests.stream.search_views import event, new_view, snapshots, vector_of


def test_a_vector_that_comes_again_after_its_takedown_isnt_found_whatever_is_restored(
    tmp_path: Path,
) -> None:
    made, store = new_view(), snapshots(tmp_path)
    film = event("film", 1).model_copy(update={"submission": submitted(3)})
    takedown = Takedown("uploads", (4,))
    headers = tuple(takedown.headers())
    search_step(made, Source("video.embedded", 1, 0, 0, film.to_bytes(), b"film"))
    search_step(made, Source("video.embedded", 1, 1, 0, None, b"film", headers=headers))
    store.save(made, {1: 2})
    restored = store.load_latest()
    assert restored is not None
    anew = new_view()  # compaction has left the takedown alone
    search_step(anew, Source("video.embedded", 1, 1, 0, None, b"film", headers=headers))
    for each in (made, restored.view, anew):
        search_step(each, Source("video.embedded", 1, 2, 0, film.to_bytes(), b"film"))
        assert len(each) == 0
        later = film.model_copy(update={"submission": submitted(4)})
        search_step(each, Source("video.embedded", 1, 3, 0, later.to_bytes(), b"film"))
        assert len(each) == 1
        again = tuple(takedown.headers(restated=True))
        search_step(each, Source("video.embedded", 1, 4, 0, None, b"film", headers=again))
        assert len(each) == 1


def source(value: bytes | None, key: bytes | None = b"v") -> Source:
    return Source("video.embedded", 2, 7, 0, value, key)


def test_a_message_without_value_takes_the_video_of_its_key_down() -> None:
    made = new_view()
    search_step(made, source(event("v", 1).to_bytes()))
    assert made.search(vector_of(1)[None], 1)[0][0].place == Place(2, 7)
    search_step(made, source(None))
    assert len(made) == 0


@pytest.mark.parametrize(
    ("value", "key", "words"),
    [
        (b"{}", b"v", "video_id"),
        (b"words", b"v", "JSON"),
        (event("v").to_bytes(), b"w", "expected the video_id"),
        (event("v").to_bytes(), None, "expected the video_id"),
        (None, None, "no value"),
        (orjson.dumps(orjson.loads(event("v").to_bytes()) | {"vector": [1.0]}), b"v", "dimension"),
    ],
)
def test_what_is_no_embedding_changes_nothing_and_is_named(
    value: bytes | None, key: bytes | None, words: str
) -> None:
    made = new_view()
    with pytest.raises(BadEventError, match=words):
        search_step(made, source(value, key))
    assert len(made) == 0
