"""What the API says of webhooks, with an example of each."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from stream.console.store.deliveries import DeliveryState, DeliveryView
from stream.console.store.webhooks import WebhookView
from stream.console.web.webhooks import LONGEST_OLD_SECRET, OLD_SECRET_SECONDS, Shown
from stream.contract.base import Identifier

Kind = Literal[
    "video.decided", "video.rejected", "alert.raised", "alert.suppressed", "alert.reviewed"
]
ENDPOINT: dict[str, Any] = {
    "webhook_id": "wh_5f0c2a9be1d47783",
    "url": "https://hooks.example/samesource",
    "kinds": ["video.decided", "alert.raised"],
    "owner_ids": None,
    "enabled": True,
    "secrets": [{"number": 1, "made_at": "2026-01-01T00:00:00Z", "ends_at": None}],
    "made_by": "anna",
    "made_at": "2026-01-01T00:00:00Z",
}
OWNERS = (
    "The rights holders whose endpoint it is: it is told of their references' alerts alone. "
    "Without them, everything"
)
MAX_OWNERS = 1000


class NewEndpointBody(BaseModel):
    """An endpoint to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "url": "https://hooks.example/samesource",
                    "kinds": ["alert.raised"],
                    "owner_ids": ["league"],
                }
            ]
        },
    )

    url: str = Field(min_length=1, max_length=2048)
    kinds: list[Kind] = Field(min_length=1, max_length=20)
    owner_ids: list[Identifier] | None = Field(
        default=None, min_length=1, max_length=MAX_OWNERS, description=OWNERS
    )
    description: str | None = Field(default=None, max_length=500)


class EndpointChangeBody(BaseModel):
    """What changes; what is left out stays."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"enabled": True, "kinds": ["alert.raised"]}]},
    )

    url: str | None = Field(default=None, min_length=1, max_length=2048)
    kinds: list[Kind] | None = Field(default=None, min_length=1, max_length=20)
    owner_ids: list[Identifier] | None = Field(
        default=None, min_length=1, max_length=MAX_OWNERS, description=OWNERS
    )
    description: str | None = Field(default=None, max_length=500)
    enabled: bool | None = Field(default=None, description="Whether it is told anything")


class SecretBody(BaseModel):
    """A secret that signs, without itself."""

    number: int
    made_at: datetime
    ends_at: datetime | None = Field(
        default=None, description="When it signs no more; null for the newest"
    )


class EndpointBody(BaseModel):
    """An endpoint as it is now."""

    model_config = ConfigDict(json_schema_extra={"examples": [ENDPOINT]})

    webhook_id: str
    url: str
    description: str | None = None
    kinds: list[str]
    owner_ids: list[str] | None = Field(default=None, description=OWNERS)
    enabled: bool
    disabled_why: str | None = None
    disabled_at: datetime | None = None
    paused_until: datetime | None = Field(
        default=None, description="Its server has asked for so much time"
    )
    secrets: list[SecretBody] = Field(description="That sign now, the newest first")
    made_by: str
    made_at: datetime

    @classmethod
    def of(cls, webhook: WebhookView, now: datetime) -> "EndpointBody":
        """As the database has it."""
        return cls(**_fields(webhook, now))


class SecretEndpointBody(EndpointBody):
    """An endpoint with its newest secret, which is shown this once."""

    model_config = ConfigDict(json_schema_extra={"examples": [ENDPOINT | {"secret": "whsec_…"}]})

    secret: str = Field(description="Verify signatures by it: nobody can read it again")

    @classmethod
    def of_shown(cls, shown: Shown, now: datetime) -> "SecretEndpointBody":
        """Just made."""
        return cls(secret=shown.secret, **_fields(shown.webhook, now))


class NewSecretBody(BaseModel):
    """How a secret takes the place of another."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"old_seconds": 86400}]}
    )

    old_seconds: float = Field(
        default=OLD_SECRET_SECONDS,
        ge=0,
        le=LONGEST_OLD_SECRET,
        description="For which the one before still signs",
    )


class DeliveryBody(BaseModel):
    """Something that an endpoint is told, and how that went."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "message_id": "msg_0b1946ac92492d2347c6235b4d261118",
                    "webhook_id": ENDPOINT["webhook_id"],
                    "kind": "alert.raised",
                    "about": "b1946ac92492d2347c6235b4d2611184",
                    "state": "dead",
                    "made_at": "2026-01-01T00:00:09Z",
                    "attempts": 10,
                    "last_status": 500,
                    "last_error": "it answered 500",
                }
            ]
        }
    )

    message_id: str = Field(description="The receiver's `webhook-id`, the same at every try")
    webhook_id: str
    kind: str
    about: str = Field(description="Id of the alert or video")
    state: DeliveryState
    made_at: datetime
    next_at: datetime | None = Field(default=None, description="When it is due, if it waits")
    attempts: int
    last_at: datetime | None = None
    last_status: int | None = Field(default=None, description="That the server answered")
    last_error: str | None = None

    @classmethod
    def of(cls, delivery: DeliveryView) -> "DeliveryBody":
        """As the database has it."""
        fields = {name: getattr(delivery, name) for name in cls.model_fields}
        if delivery.state != "waiting":
            fields["next_at"] = None
        return cls.model_validate(fields)


class ReplayedBody(BaseModel):
    """How many dead letters are sent again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"replayed": 3}]})

    replayed: int


def _fields(webhook: WebhookView, now: datetime) -> dict[str, Any]:
    names = EndpointBody.model_fields.keys() - {"enabled", "secrets"}
    fields = {name: getattr(webhook, name) for name in names}
    secrets = [
        SecretBody(number=each.number, made_at=each.made_at, ends_at=each.ends_at)
        for each in webhook.live_secrets(now)
    ]
    return fields | {"enabled": webhook.disabled_at is None, "secrets": secrets}
