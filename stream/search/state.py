"""What a view remembers: its records and vectors, and the names behind the numbers in them.

`stream.search.view` changes it, `stream.search.snapshot` writes it down.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from stream.contract.events import Submission, VideoEmbedded
from stream.contract.order import before
from stream.search.index import VectorIndex
from stream.search.rows import VectorRows
from stream.search.table import NO_LOG, NO_VERSION, VideoTable
from stream.search.takedowns import Takedowns

OWN = 0  # the number of the view's own model
MAX_MODELS = 1000  # whose vectors are counted apart


@dataclass
class ViewState:
    """What a snapshot holds of a view.

    Attributes:
        models: names of all model versions that were seen; the view's own is the first.
        logs: names of the topics that uploads were submitted to.
        takedowns: which submissions of a video are taken down, by `video_hash`.
    """

    table: VideoTable
    rows: VectorRows
    index: VectorIndex
    models: list[str]
    logs: list[str] = field(default_factory=list)
    takedowns: Takedowns = field(default_factory=Takedowns)

    @property
    def left_out(self) -> dict[str, int]:
        """How many videos have a vector of another model version, by that version."""
        numbers = self.table.records["model"]
        counts = Counter(numbers[numbers > OWN].tolist())
        return {self.models[number]: count for number, count in sorted(counts.items())}

    def model_number(self, name: str) -> int:
        """The number of a model version that isn't the view's own; of too many, one for all."""
        models = self.models
        if len(models) > MAX_MODELS and name not in models[1:]:
            name = "other models"
        if name not in models[1:]:
            models.append(name)
        return models.index(name, 1)

    def is_late(self, event: VideoEmbedded, version: int, known: int) -> bool:
        """Whether what is known of a video was submitted after an event of it."""
        submission = self.submission_of(known)
        if event.submission is not None and submission is not None:
            return before(event.submission, submission)
        # Versions that are no numbers don't say which of them is newer.
        return NO_VERSION != version < int(self.table.records[known]["version"])

    def submission_of(self, number: int) -> Submission | None:
        """Of the newest message of a video; None where it didn't say."""
        record = self.table.records[number]
        if record["log"] == NO_LOG:
            return None
        return Submission(
            log_id=self.logs[record["log"]],
            partition=int(record["from_partition"]),
            offset=int(record["from_offset"]),
            timestamp_ms=int(record["from_ms"]),
        )

    def note_submission(self, record: Any, submission: Submission | None) -> None:
        """Write down in a record of the table what its message was submitted as."""
        if submission is None:
            record["log"] = NO_LOG
            return
        logs = self.logs
        if submission.log_id not in logs:
            logs.append(submission.log_id)
        # By number, as records have one size; topics are few, and their names long.
        record["log"] = logs.index(submission.log_id)
        record["from_partition"], record["from_offset"] = submission.partition, submission.offset
        record["from_ms"] = submission.timestamp_ms
