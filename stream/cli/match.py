"""`samesource match`: which known videos a file would match, without adding it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream.cli.output import printable, spans, stderr, stdout
from stream.texts import percent

if TYPE_CHECKING:
    from stream.admin.match import Answers
    from stream.contract.events import Match


def match(
    context: typer.Context,
    location: Annotated[str, typer.Argument(metavar="FILE-OR-URI")],
    owner: Annotated[
        str | None,
        typer.Option(help="Whose upload it would be: what is of the same owner is marked."),
    ] = None,
    timeout_seconds: Annotated[
        float, typer.Option(min=1, help="Show what was found by then, and who hasn't answered.")
    ] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of lines.")] = False,
) -> None:
    """Tell which seconds of a video are in the library; nothing is added, alerted or decided.

    No policy or verdict is applied. Exit code 1 where not every shard has answered.
    """
    from stream.admin.match import match as ask
    from stream.broker.client import uri_of
    from stream.errors import BrokerError, QueryError

    kafka = context.obj.kafka
    uri = uri_of(location)
    answers = ask(kafka, uri, owner_id=owner, timeout_seconds=timeout_seconds)
    if answers.refusal is not None:
        raise QueryError(f"{answers.refusal.error}: {answers.refusal.message}")
    if answers.shards is None:
        raise BrokerError(
            f"no shard has answered within {timeout_seconds:g} s: are workers of the roles "
            "fingerprint and library running (`samesource worker all`)? A long video, or a probe "
            "before it, takes longer: --timeout-seconds"
        )
    if as_json:
        stdout.print_json(data=_as_json(uri, owner, answers))
    else:
        _print_lines(owner, answers)
    for warning in _warnings(answers, timeout_seconds):
        stderr.print(warning, soft_wrap=True, markup=False, highlight=False)
    if not answers.is_complete:
        raise typer.Exit(1)


def _print_lines(owner: str | None, answers: "Answers") -> None:
    for found in answers.matches:
        same = ", of the same owner" if _is_same(owner, found) else ""
        for segment in found.segments:
            ours, theirs = spans(segment)
            seen = "the picture is within" if answers.is_picture else f"{ours} would match"
            stdout.print(
                f"{seen} {printable(found.reference_id)} {theirs}, "
                f"{percent(segment.score)}% ({found.reference_role}{same})",
                soft_wrap=True,
                markup=False,
                highlight=False,
            )
    if not answers.matches:
        stdout.print("nothing matches" if answers.is_complete else "nothing was found so far")


def _is_same(owner: str | None, found: "Match") -> bool:
    return owner is not None and found.reference_owner_id == owner


def _warnings(answers: "Answers", timeout_seconds: float) -> list[str]:
    of = f"of {answers.shards}"
    silent = [
        f"shard {shard} {of} has not answered within {timeout_seconds:g} s: what it holds was not "
        "compared"
        for shard in answers.missing
    ]
    return silent + [
        f"shard {answer.shard} {of} has no answer: {answer.error}: "
        f"{printable(answer.message or '')}"
        for answer in answers.refused
    ]


def _as_json(uri: str, owner: str | None, answers: "Answers") -> dict[str, Any]:
    first = next(iter(answers.answered), None)
    return {
        "probe_id": answers.probe_id,
        "uri": uri,
        "owner_id": owner,
        "complete": answers.is_complete,
        "shards": answers.shards,
        "not_answered": answers.missing,
        "refused": [
            {"shard": answer.shard, "error": answer.error, "message": answer.message}
            for answer in answers.refused
        ],
        "library_offsets": {str(one.shard): one.library_offset for one in answers.answered},
        "model_version": first and first.model_version,
        "aligner_version": first and first.aligner_version,
        "duration_seconds": first and first.duration_seconds,
        "matches": [found.model_dump(exclude_none=True) for found in answers.matches],
    }
