"""Which seconds of one video copy which seconds of another: the service's own answer, no Kafka.

The two go through the steps of the service in the order in which a platform would submit them:
the known video first, as a reference of somebody else's.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from models.errors import ModelError
from stream.contract.events import (
    AlertRaised,
    MatchedSegment,
    Role,
    VideoUploaded,
)
from stream.contract.fingerprint import Fingerprint
from stream.decide.decide import Join, on_compared
from stream.decide.policy import Policies
from stream.errors import RejectedError, SettingsError
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.library.matches import open_aligner
from stream.library.shard import LibraryShard
from stream.settings import Settings, load_settings


def find_copies(
    upload: str | Path, known: str | Path, *, settings: Settings | None = None
) -> list[MatchedSegment]:
    """Which seconds of an upload copy which seconds of a known video.

    Both videos are fetched, decoded and fingerprinted side by side, compared as a library shard
    does it, and judged by the policy of the settings: the segments are those of the alert that
    the service raises for this pair.

    Args:
        upload: the video that may be a copy. A path, relative or absolute, anywhere on this
            machine; or a URI that the settings allow, such as `https://…` or `s3://…`.
        known: the video that it may copy.
        settings: of the service; by default those that `SAMESOURCE_CONFIG` and the other
            variables of the environment say, as for the command.

    Returns:
        The copied spans of both sides in seconds, with a score from 0 to 1 and whether the copy
        runs backwards, by the upload's time; empty where nothing is copied.

    Raises:
        RejectedError: one of the videos can't be used; its `code` says why, its text which.
        SettingsError: the settings are wrong, or name a model that can't run here.
    """
    settings = settings or load_settings()
    folders = settings.fetch.model_copy(update={"roots": (Path("/"),)})  # the caller names the file
    settings = settings.model_copy(update={"fetch": folders})
    try:
        shard = LibraryShard(
            settings.library.model_copy(update={"shards": 1}), 0, open_aligner(settings.library)
        )
        fingerprints = _fingerprints(settings, upload, known)
    except ModelError as error:
        raise SettingsError(str(error)) from error
    shard.absorb(fingerprints["reference"], 0)
    _, events = on_compared(
        Join(), shard.apply(fingerprints["upload"], 1), Policies(settings.policy)
    )
    segments = [one for event in events if isinstance(event, AlertRaised) for one in event.segments]
    return sorted(segments, key=lambda segment: segment.video_start_seconds)


def _fingerprints(
    settings: Settings, upload: str | Path, known: str | Path
) -> dict[Role, Fingerprint]:
    """Of both videos; the first that can't be used ends the work on the other."""
    videos: dict[Role, str | Path] = {"upload": upload, "reference": known}
    with (
        ThreadPoolExecutor(len(videos)) as threads,
        # Entered last and so left first: that ends what the other thread is at, for which the pool
        # waits.
        Fingerprinter(settings, embed=False) as made_by,
    ):
        making = {
            role: threads.submit(_fingerprint, made_by, role, video)
            for role, video in videos.items()
        }
        for done in as_completed(making.values()):
            done.result()
        return {role: future.result() for role, future in making.items()}


def _fingerprint(made_by: Fingerprinter, role: Role, video: str | Path) -> Fingerprint:
    uri = video if "://" in str(video) else Path(video).absolute().as_uri()
    fields = {"video_id": role, "owner_id": role, "role": role, "uri": str(uri)}
    with _named(video):
        return made_by.fingerprint(VideoUploaded.from_json(fields), request_id=role).fingerprint


@contextmanager
def _named(video: str | Path) -> Iterator[None]:
    """Say of which of the two a rejection is."""
    try:
        yield
    except RejectedError as error:
        raise type(error)(f"{video}: {error}") from error
