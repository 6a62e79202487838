"""`samesource skip`: leaves one message behind, with a dead letter."""

from pathlib import Path
from typing import Annotated

import typer

from stream.cli.output import stdout
from stream.errors import SettingsError


def skip(
    context: typer.Context,
    topic: Annotated[str, typer.Argument(help="As in the contract, without a prefix.")],
    partition: Annotated[int, typer.Argument(min=0)],
    offset: Annotated[int, typer.Argument(min=0)],
) -> None:
    """Leave one message behind when the workers of this machine start next.

    The worker that gets it makes a dead letter of it, so that its video is decided as rejected.
    Say so on every machine that runs the role, then restart its workers.
    """
    from stream.agents.deaths import leave_behind

    folder: Path = context.obj.worker.data_folder
    roles = _roles(topic, context.obj.library.shards)
    for role in roles:
        leave_behind(folder, role, (topic, partition, offset))
    stdout.print(
        f"{topic}[{partition}]@{offset} is left behind by the next start of {', '.join(roles)} "
        f"with worker.data_folder = {folder}: restart the workers",
        soft_wrap=True,
        markup=False,
    )


def _roles(topic: str, shards: int) -> list[str]:
    """Who works on the messages of a topic.

    Raises:
        SettingsError: nobody that a message could stop.
    """
    # No probes: none of them is ever read twice.
    roles = {
        "video.uploaded": ["fingerprint"],
        "video.fingerprinted": [f"library-{shard}-of-{shards}" for shard in range(shards)],
        "video.compared": ["decide"],
        "video.rejected": ["decide"],
        "alert.reviewed": ["decide"],
    }
    if topic not in roles:
        raise SettingsError(
            f"no message of {topic} can be in a worker's way: name one of {', '.join(roles)}"
        )
    return roles[topic]
