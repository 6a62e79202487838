"""`samesource alerts`: which seconds were copied, for people to read."""

from typing import Annotated

import typer

from stream.cli.output import spans, stderr, stdout
from stream.cli.reading import events_of
from stream.contract.events import Alert, AlertRaised, AlertSuppressed


def alerts(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with new ones.")] = False,
    suppressed: Annotated[
        bool, typer.Option("--suppressed", help="Those that were kept back or held, and why.")
    ] = False,
) -> None:
    """List alerts: which seconds of which upload copy which seconds of which video."""
    from stream.broker.client import Reader

    kind: type[Alert] = AlertSuppressed if suppressed else AlertRaised
    shown = 0
    with Reader(context.obj.kafka, kind.topic) as reader:
        for _, message in reader.until_now():
            for alert in events_of(kind, message):
                _print_alert(alert)
                shown += 1
        if not shown:
            stderr.print("no suppressed alerts yet" if suppressed else "no alerts yet")
        # With the same reader, so that nothing is lost between the list and what follows.
        while follow:
            found = reader.poll(1.0)
            for alert in events_of(kind, found[1]) if found else ():
                _print_alert(alert)


def _print_alert(alert: Alert) -> None:
    why = f": {alert.reason}: {alert.detail}" if isinstance(alert, AlertSuppressed) else ""
    for segment in alert.segments:
        ours, theirs = spans(segment)
        stdout.print(
            f"{alert.video_id} {ours} copies {alert.reference_id} {theirs}, "
            f"{segment.score:.0%} (alert {alert.alert_id}){why}",
            soft_wrap=True,
            markup=False,
        )
