"""Videos of the library that show what is asked for, as somebody may see them: pages and API ask.

It is asked for in words, or by a picture or clip that looks like it.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from stream.console.store.desk import Person
from stream.console.store.views import VideoView
from stream.console.web.console import Console
from stream.console.web.media import NO_ROOM
from stream.console.web.pictures import NoPictureSearchError
from stream.console.web.problems import Problem, rejection
from stream.console.web.signin.rights import visible_to
from stream.console.web.text_search import NoTextSearchError, NotReadError, Question
from stream.errors import QueryError, RejectedError
from stream.fetch.fetch import DiskError

# Of the nearest videos, most may be others' or gone by now: it is looked further, up to here.
LOOKS = (100, 1000, 10_000)
RETRY = {"Retry-After": "5"}


@dataclass(frozen=True)
class FoundVideo:
    """A video that was found.

    Attributes:
        similarity: as `stream.search.view.Hit` has it.
        moment_seconds: where it shows what was asked for; None where the whole video does.
    """

    video: VideoView
    similarity: float
    moment_seconds: float | None


@dataclass(frozen=True)
class Found:
    """What was found, the most alike first."""

    question: Question
    videos: Sequence[FoundVideo]


async def found_by_text(console: Console, person: Person, text: str, most: int) -> Found:
    """Videos in the library that somebody may see.

    Raises:
        Problem: 422 of a text without a word, 503 where it can't be asked, or not yet.
        BrokerError: Kafka doesn't answer.
    """
    return await _found(console, person, lambda: console.search.question(text), most)


async def found_by_picture(console: Console, person: Person, uri: str, most: int) -> Found:
    """Videos in the library that somebody may see, and that look like a picture or clip.

    Raises:
        Problem: 422 of what can't be fetched or decoded, 429 where too many ask, 503 as above.
        BrokerError: Kafka doesn't answer.
    """

    async def question() -> Question:
        async with console.pictures_asked.one():
            path = await console.videos.file(uri)
            vector = await console.pictures.vector(path)
        return await console.search.question_of(vector)

    return await _found(console, person, question, most)


async def _found(
    console: Console, person: Person, ask: Callable[[], Awaitable[Question]], most: int
) -> Found:
    try:
        question = await ask()
    except QueryError as error:
        raise Problem(422, error) from error
    except RejectedError as error:
        raise Problem(422, rejection(error.code, str(error))) from error
    except NotReadError as error:
        raise Problem(503, error, RETRY) from error
    except (NoTextSearchError, NoPictureSearchError) as error:
        raise Problem(503, error) from error
    except DiskError as error:
        raise Problem(503, NO_ROOM) from error
    mine, videos = visible_to(person), list[FoundVideo]()
    for k in LOOKS:
        hits = await question.nearest(k)
        rows = await console.queries.videos_by_id([hit.video_id for hit in hits])
        videos = [
            FoundVideo(rows[hit.video_id], hit.similarity, hit.seconds)
            for hit in hits
            if hit.video_id in rows and _is_seen(rows[hit.video_id], mine)
        ]
        if len(videos) >= most or len(hits) < k:
            break
    return Found(question, videos[:most])


def _is_seen(video: VideoView, mine: Sequence[str] | None) -> bool:
    return video.status == "live" and (mine is None or video.owner_id in mine)
