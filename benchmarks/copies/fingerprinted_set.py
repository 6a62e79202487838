"""The fingerprints of a labelled set of copies, kept on disk so that a second run is quick.

Serves `calibrate` and `fit_aligner`, which look at one set many times.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from models.encoder.serve import default_encoder_path
from stream.contract.events import Role, VideoUploaded
from stream.contract.fingerprint import Fingerprint
from stream.errors import RejectedError
from stream.evaluate.copy_set import CopySet, read_copy_set
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.settings import Settings

FINGERPRINT_FORMAT = "3"  # of the event: files of an older one are made anew


@dataclass(frozen=True)
class FingerprintedSet:
    """A labelled set as the library log would carry it.

    Attributes:
        references: fingerprints in order of the id, without those that could not be made.
        queries: as `references`.
        unanswered: why there is no fingerprint, by video id.
        model_version: of the encoder.
    """

    copies: CopySet
    references: list[Fingerprint]
    queries: list[Fingerprint]
    unanswered: dict[str, str]
    model_version: str

    @property
    def video_hours(self) -> float:
        """Length of all fingerprinted videos."""
        videos = (*self.references, *self.queries)
        return sum(video.duration_seconds for video in videos) / 3600


def fingerprint_set(
    folder: Path, settings: Settings, kept: Path | None, console: Console
) -> FingerprintedSet:
    """Fingerprint every video of a set by the service's own step.

    Args:
        folder: as `stream.evaluate.copy_set` reads it.
        settings: of the service; files of the set may be read whatever `fetch.roots` says.
        kept: where fingerprints lie between runs; None keeps none. One is made anew when its
            file, the encoder or a setting of decoding or of the key frames has changed.
        console: for the progress bar.

    Raises:
        SettingsError: the set is incomplete, or the settings name a model that can't be used.
    """
    copies = read_copy_set(folder)
    fetch = settings.fetch.model_copy(update={"roots": (folder.resolve(),)})
    settings = settings.model_copy(update={"fetch": fetch})
    made: dict[Role, list[Fingerprint]] = {"reference": [], "upload": []}
    unanswered: dict[str, str] = {}
    videos: list[tuple[str, Path, Role]] = [
        *((video_id, path, "reference") for video_id, path in copies.references.items()),
        *((video_id, path, "upload") for video_id, path in copies.queries.items()),
    ]
    with Fingerprinter(settings) as fingerprinter:
        for video_id, path, role in track(videos, "fingerprints", console=console, transient=True):
            upload = VideoUploaded(
                video_id=video_id, uri=path.resolve().as_uri(), owner_id=role, role=role
            )
            place = kept / _name(path, fingerprinter, settings) if kept else None
            try:
                made[role].append(_fingerprint(fingerprinter, upload, place))
            except RejectedError as error:
                unanswered[video_id] = f"{error.code}: {error}"
        version = fingerprinter.model_version
    return FingerprintedSet(copies, made["reference"], made["upload"], unanswered, version)


def _fingerprint(
    fingerprinter: Fingerprinter, upload: VideoUploaded, place: Path | None
) -> Fingerprint:
    if place and place.exists():
        return Fingerprint.from_bytes(place.read_bytes())
    made = fingerprinter.fingerprint(upload, f"set-{upload.video_id}").fingerprint
    if place:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(made.to_event().to_bytes())
    return made


def _name(path: Path, fingerprinter: Fingerprinter, settings: Settings) -> str:
    """A file name that changes with whatever the fingerprint depends on."""
    stat, own = path.stat(), settings.encoder
    encoder = own.path or default_encoder_path(own.precision, own.provider)
    parts = (
        FINGERPRINT_FORMAT, str(path.resolve()), str(stat.st_size), str(stat.st_mtime_ns),
        fingerprinter.model_version, fingerprinter.key_frames_version, str(encoder),
        settings.decode.model_dump_json(), settings.key_frames.model_dump_json(),
    )  # fmt: skip
    digest = hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()
    return f"{path.stem}-{digest}.json"
