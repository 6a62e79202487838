"""Dead letters that are submitted again: each by one console, of all that share a database."""

from stream.admin.replay import Replay
from stream.console.store.desk import Fresh
from stream.console.web.console import Console, after_writing
from stream.contract.events import VideoRejected
from stream.texts import Text

NOBODY = ""  # whose keys these are: of two people, too, one submits
BUSY = Text("somebody else is submitting it again just now")


async def replay(console: Console, letter: VideoRejected) -> Replay:
    """Submit the original of a letter again, unless it was since; what became of it.

    One at a time for each video: the next one sees what was submitted. Who dies at it holds the
    others up for `LONGEST_RUN`.

    Raises:
        BrokerError: Kafka didn't answer, or didn't take it.
    """
    key = f"replay {letter.video_id}"
    begun = await console.desk.begin_key(NOBODY, key, b"", console.clock())
    if not isinstance(begun, Fresh):
        return Replay(letter, reason=BUSY)
    try:
        found = await _replay(console, letter, key, begun.run)
    # Not a cancellation, by a stop: Kafka may get it yet.
    except Exception:
        await console.desk.forget_key(NOBODY, key, begun.run)
        raise
    with after_writing("letting others submit the video again"):
        await console.desk.forget_key(NOBODY, key, begun.run)
    return found


async def _replay(console: Console, letter: VideoRejected, key: str, run: str) -> Replay:
    video = None if letter.video_id is None else await console.queries.video(letter.video_id)
    found = await console.kafka.replay_of(letter, None if video is None else video.takedown)
    if found.upload is None:
        return found
    # Topics may be long: whoever has read for minutes was taken for dead.
    if not await console.desk.renew_key(NOBODY, key, run, console.clock()):
        return Replay(letter, reason=BUSY)
    await console.kafka.submit_again(found.upload, found.headers)
    return found
