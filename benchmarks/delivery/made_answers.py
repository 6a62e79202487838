"""What a shard says of a made upload; serves `decide_memory` and `decide_rate`."""

from collections.abc import Sequence

from stream.contract.events import Match, VideoCompared


def made_answer(
    number: int, request_id: str, *, shard: int, shards: int, matches: Sequence[Match] = ()
) -> VideoCompared:
    """One shard's answer about the upload of this number, whose request has that id."""
    return VideoCompared(
        video_id=f"video-{number}",
        content_version=1,
        owner_id="fan",
        role="upload",
        request_id=request_id,
        model_version="encoder-1",
        shard=shard,
        shards=shards,
        library_offset=number,
        matches=list(matches),
        stage_seconds={"search": 0.01},
    )
