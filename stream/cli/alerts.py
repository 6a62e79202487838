"""`samesource alerts`: which seconds were copied, for people to read."""

from typing import Annotated

import typer

from stream.cli.output import spans, stderr, stdout
from stream.cli.reading import events_of
from stream.contract.events import Alert, AlertRaised, AlertSuppressed
from stream.texts import percent


def alerts(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with new ones.")] = False,
    suppressed: Annotated[
        bool, typer.Option("--suppressed", help="Those that were kept back or held, and why.")
    ] = False,
    policy: Annotated[
        bool, typer.Option("--policy", help="Also the policy by which each was judged.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Each as JSON in a line, as it is on Kafka.")
    ] = False,
) -> None:
    """List alerts: which seconds of which upload copy which seconds of which video."""
    from stream.broker.client import Reader

    tell = _print_json if as_json else _print_with_policy if policy else _print_alert
    kind: type[Alert] = AlertSuppressed if suppressed else AlertRaised
    shown = 0
    with Reader(context.obj.kafka, kind.topic) as reader:
        for _, message in reader.until_now():
            for alert in events_of(kind, message):
                tell(alert)
                shown += 1
        if not shown:
            stderr.print("no suppressed alerts yet" if suppressed else "no alerts yet")
        # With the same reader, so that nothing is lost between the list and what follows.
        while follow:
            found = reader.poll(1.0)
            for alert in events_of(kind, found[1]) if found else ():
                tell(alert)


def _print_alert(alert: Alert) -> None:
    why = f": {alert.reason}: {alert.detail}" if isinstance(alert, AlertSuppressed) else ""
    for segment in alert.segments:
        ours, theirs = spans(segment)
        stdout.print(
            f"{alert.video_id} {ours} copies {alert.reference_id} {theirs}, "
            f"{percent(segment.score)}% (alert {alert.alert_id}){why}",
            soft_wrap=True,
            markup=False,
        )


def _print_with_policy(alert: Alert) -> None:
    from stream.admin.event_words import judged_by

    _print_alert(alert)
    stdout.print(f"  {judged_by(alert)}", soft_wrap=True, markup=False)


def _print_json(alert: Alert) -> None:
    stdout.print(alert.to_bytes().decode(), soft_wrap=True, markup=False, highlight=False)
