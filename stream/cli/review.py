"""`samesource review`: a person's verdict on an alert."""

from typing import TYPE_CHECKING, Annotated

import typer

from stream.cli.output import stdout
from stream.contract.events import Scope, VerdictWord
from stream.errors import SettingsError

if TYPE_CHECKING:
    from stream.admin.review import Span


def review(
    context: typer.Context,
    alert_id: Annotated[str, typer.Argument(metavar="ALERT_ID")],
    verdict: Annotated[
        VerdictWord, typer.Argument(help="withdrawn takes back what was said of the alert.")
    ],
    reviewer: Annotated[str, typer.Option(help="Who says so.")],
    note: Annotated[str | None, typer.Option(help="Why, for people.")] = None,
    scope: Annotated[
        Scope | None,
        typer.Option(
            help="How far a dismissal goes: this alert alone, the pair of videos (the default), "
            "a span of the reference in any upload, or this uploader against this rights holder."
        ),
    ] = None,
    start_seconds: Annotated[
        float | None, typer.Option(help="Of the span of the reference; the alert's by default.")
    ] = None,
    end_seconds: Annotated[float | None, typer.Option(help="Where the span ends.")] = None,
) -> None:
    """Say that an alert is right or wrong, or take that back. A held one is raised by confirmed."""
    from stream.admin.event_words import how_far
    from stream.admin.review import find_alert, review_of, withdrawal
    from stream.broker.client import send

    kafka, span = context.obj.kafka, _span(start_seconds, end_seconds)
    if verdict == "withdrawn" and scope is None and span is None:
        said = withdrawal(kafka, alert_id, reviewer=reviewer, note=note)
    else:
        alert = find_alert(kafka, alert_id)
        said = review_of(alert, verdict, reviewer=reviewer, note=note, scope=scope, span=span)
    send(kafka, said.topic, [(said.key(), said.to_bytes(), [])])
    named = said.video_id is not None and said.reference_id is not None
    about = f"{said.video_id} and {said.reference_id}" if named else f"alert {alert_id}"
    stdout.print(f"{about}: {verdict}{how_far(said)}", soft_wrap=True, markup=False)


def _span(start: float | None, end: float | None) -> "Span | None":
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise SettingsError("--start-seconds and --end-seconds come together or not at all")
    return start, end
