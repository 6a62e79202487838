"""`samesource library`: verifies the shards against the log, and changes how many there are."""

from typing import Annotated

import typer

from stream.cli.output import stderr, stdout
from stream.cli.shard_option import new_shard, with_shard

library_app = typer.Typer(
    help="What the library's shards hold, against the log.", no_args_is_help=True
)


@library_app.command("verify")
def verify(
    context: typer.Context,
    shard: Annotated[
        str | None,
        typer.Option(help="`i/S`: shard i (from 0) of S. All shards of the settings by default."),
    ] = None,
    show: Annotated[int, typer.Option(min=0, help="Differences to print for each shard.")] = 20,
) -> None:
    """Compare shards, restored as a worker would, with what the whole log says; exit code 0 or 1.

    Workers may run meanwhile.
    """
    from stream.admin.verify import verify as verified
    from stream.broker.library_log import LibraryLog

    settings, numbers = (context.obj, None) if shard is None else with_shard(context.obj, shard)
    # What is held is compared and nothing searched for: that takes no GPU.
    library = settings.library.model_copy(update={"device": "cpu"})
    holds = True
    with LibraryLog(settings.kafka) as log:
        for number in range(library.shards) if numbers is None else numbers:
            found = verified(library, number, log)
            holds = holds and found.holds
            for damaged in found.damaged:
                _print(f"snapshot passed over: {damaged}")
            name, comparison = f"shard {number}/{library.shards}", found.comparison
            for difference in comparison.differences[:show]:
                _print(f"{name}: {difference}")
            if (more := len(comparison.differences) - show) > 0:
                _print(f"{name}: {more} more differences; --show prints more")
            origin = "no snapshot"
            if found.snapshot_offset is not None:
                origin = f"snapshot at {found.snapshot_offset}"
            untold = f", {comparison.untold} that the log no longer has" * bool(comparison.untold)
            _print(
                f"{name}: {comparison.entries} entries compared up to offset {found.offset} "
                f"({origin}){untold}: {len(comparison.differences)} differences"
            )
    if not holds:
        raise typer.Exit(1)


@library_app.command("reshard")
def reshard(
    context: typer.Context,
    shards: Annotated[int, typer.Option(min=1, max=4096, help="How many there shall be.")],
    shard: Annotated[
        list[str] | None,
        typer.Option(help="`i/S`: build this one of the new ones; again for more. All by default."),
    ] = None,
    from_log: Annotated[
        bool, typer.Option("--from-log", help="Read the whole log instead of the snapshots.")
    ] = False,
) -> None:
    """Write snapshots for another number of shards than the settings say, which go on meanwhile."""
    from stream.admin.reshard import reshard as build
    from stream.broker.library_log import LibraryLog

    settings = context.obj
    only = [new_shard(text, shards) for text in shard] if shard else None
    with LibraryLog(settings.kafka) as log:
        offset = build(settings.library, shards, log, _say, only=only, from_log=from_log)
    built = f"{shards} shards" if only is None else ", ".join(f"{i}/{shards}" for i in only)
    _print(
        f"{built} are ready and answer from offset {offset} on: start `samesource worker "
        f"library --shard i/{shards}` for each of the {shards}, then stop those of "
        f"{settings.library.shards}"
    )


def _say(text: str) -> None:
    stderr.print(text, soft_wrap=True, markup=False)


def _print(text: str) -> None:
    stdout.print(text, soft_wrap=True, markup=False, highlight=False)
