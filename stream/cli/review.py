"""`samesource review`: a person's verdict on an alert."""

from typing import Annotated, Literal

import typer

from stream.broker.settings import KafkaSettings
from stream.cli.output import stdout
from stream.contract.events import Alert, AlertRaised, AlertReviewed, AlertSuppressed
from stream.errors import BadEventError, SettingsError


def review(
    context: typer.Context,
    alert_id: Annotated[str, typer.Argument(metavar="ALERT_ID")],
    verdict: Annotated[Literal["confirmed", "dismissed"], typer.Argument()],
    reviewer: Annotated[str, typer.Option(help="Who says so.")],
    note: Annotated[str | None, typer.Option(help="Why, for people.")] = None,
) -> None:
    """Say that an alert is right or wrong. A dismissed pair of videos never alerts again."""
    from stream.broker.client import send
    from stream.times import now

    kafka = context.obj.kafka
    alert = _find(kafka, alert_id)
    said = AlertReviewed(
        alert_id=alert_id,
        verdict=verdict,
        reviewer=reviewer,
        reviewed_at=now(),
        video_id=alert.video_id,
        reference_id=alert.reference_id,
        note=note,
    )
    send(kafka, said.topic, [(said.key(), said.to_bytes(), [])])
    stdout.print(
        f"{alert.video_id} and {alert.reference_id}: {verdict}", soft_wrap=True, markup=False
    )


def _find(kafka: KafkaSettings, alert_id: str) -> Alert:
    """The alert, raised or suppressed: a verdict holds for the pair of videos that it names.

    Raises:
        SettingsError: there is none.
    """
    from stream.broker.client import Reader

    kinds: dict[str, type[Alert]] = {kind.topic: kind for kind in (AlertRaised, AlertSuppressed)}
    with Reader(kafka, *kinds) as reader:
        for topic, message in reader.until_now():
            try:
                alert = kinds[topic].from_bytes(message.value())
            except BadEventError:
                continue
            if alert.alert_id == alert_id:
                return alert
    raise SettingsError(
        f"no alert {alert_id}: `samesource alerts` and `samesource alerts --suppressed` list them"
    )
