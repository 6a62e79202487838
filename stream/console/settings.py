"""Settings of the console: where people reach it, where its database is, how previews look."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from stream.console.oidc_settings import LOOPBACK_NAMES, OidcSettings

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",  # the old name, which some hosts still give out
}
"""The scheme of a URL, and what reads it."""


Language = Literal["en", "zh"]
DEFAULT_PORT = 8321  # of `samesource console`, where the settings name none


class ConsoleSettings(OidcSettings):
    """The console: where it is, its database, its sessions and its pages.

    Attributes:
        host: the address that it is on.
        port: the same; without one `samesource worker all` runs no console, and `samesource
            console` takes 8321.
        public_url: under which people reach it through a proxy, such as `https://copies.example`;
            with https, cookies are sent over TLS alone. Without it, a console on the loopback
            answers to the loopback's names only, any other to every name.
        trusted_proxies: whose `X-Forwarded-For` is believed, addresses and networks. Failed
            sign-ins are counted by address: all who come by a proxy that isn't named are one.
        session_seconds: for which somebody stays signed in.
        link_seconds: for which a one-time link can be opened.
        claim_seconds: for which an alert that somebody took is theirs.
        languages: that pages are offered in; the first for browsers that ask for none of them.
        previews: how videos look until somebody points at them: `blurred`, `grey` or `plain`.
        muted: whether they play without sound until it is switched on.
        cache_bytes: of copies of remote videos that are being looked at, on disk. With less than
            twice `fetch.max_bytes`, the two of an alert may be too large for each other.
        stream_concurrency: remote videos that are sent on from their sources at a time; whoever
            comes beyond is told to come again.
        match_store: where a file that somebody asks about lies for the time of the question, and
            fingerprint workers fetch it: a folder below `fetch.roots`, or `s3://bucket/folder`.
            Without it, one can ask about URIs alone.
        database_url: `sqlite:///file` or `postgresql://user:password@host/name`. All but sessions,
            tokens, webhooks and the audit log is made anew from the topics when it is gone.
        batch_messages: that are taken into the database in one transaction.
        database_connections: that are open at a time, on PostgreSQL.
        requests_per_minute: of one token or session on the API; 0 for as many as come.
        waits_each: long polls and event streams that one person or machine has open at a time.
        webhook_hosts: that webhooks may be at; empty allows every host with a public address, by
            https. A host that is named here may have a private one, and speak http.
        webhook_key: that the secrets of webhooks are made by; without it, that of the file.
        webhook_key_file: made by the first webhook; by default beside SQLite's database, else
            `var/console/webhook.key`. Consoles of one database need the same key.
        webhook_concurrency: webhooks that are sent at a time.
        webhook_concurrency_each: of them to one endpoint, so that a slow one holds nobody up.
        webhook_timeout_seconds: for one answer.
        webhook_retry_seconds: before each further try; after the last one it is a dead letter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int | None = Field(default=None, ge=0, le=65535)
    public_url: str | None = None
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    session_seconds: float = Field(default=12 * 3600.0, gt=0)  # a working day; set by hand
    link_seconds: float = Field(default=900.0, gt=0)  # set by hand
    claim_seconds: float = Field(default=900.0, gt=0)  # set by hand
    languages: tuple[Language, ...] = Field(default=("en", "zh"), min_length=1)
    previews: Literal["blurred", "grey", "plain"] = "blurred"
    muted: bool = True
    cache_bytes: int = Field(default=16 * 2**30, ge=0)  # two of `fetch.max_bytes`
    stream_concurrency: int = Field(default=64, ge=1)  # set by hand
    match_store: str | None = None
    database_url: SecretStr = SecretStr("sqlite:///var/console/console.db")
    batch_messages: int = Field(default=500, ge=1, le=10_000)  # set by hand
    # One is the follower's whenever it takes messages: with no second one, pages would wait.
    database_connections: int = Field(default=10, ge=2)
    requests_per_minute: int = Field(default=6000, ge=0)  # set by hand, far beyond a person's
    waits_each: int = Field(default=200, ge=1)  # set by hand
    webhook_hosts: tuple[str, ...] = ()
    webhook_key: SecretStr | None = Field(default=None, min_length=32)
    webhook_key_file: Path | None = None
    webhook_concurrency: int = Field(default=32, ge=1)  # set by hand
    webhook_concurrency_each: int = Field(default=4, ge=1)  # set by hand
    webhook_timeout_seconds: float = Field(
        default=15.0, gt=0, le=120
    )  # as Standard Webhooks has it
    # The same: three days in all.
    webhook_retry_seconds: tuple[Annotated[float, Field(gt=0)], ...] = (
        5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0,
    )  # fmt: skip

    @field_validator("public_url")
    @classmethod
    def _is_an_origin(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        # A path is refused too: pages link to `/…`, which leads out of a folder of the proxy.
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
            raise ValueError("expected scheme and host alone, such as https://copies.example")
        return f"{parts.scheme}://{parts.netloc}"

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for each in proxies:
            try:
                # uvicorn would take what is neither for a name, which no client has.
                ipaddress.ip_network(each) if "/" in each else ipaddress.ip_address(each)
            except ValueError as error:
                raise ValueError(
                    f"{error}: expected addresses and networks, such as 10.0.0.7 or 10.244.0.0/16"
                ) from error
        return proxies

    @model_validator(mode="after")
    def _is_found_again(self) -> Self:
        # The provider sends people back to an address that was agreed on with it.
        if self.oidc_issuer is not None and self.public_url is None and not self.is_on_loopback:
            raise ValueError("oidc_issuer without public_url: people couldn't be sent back here")
        return self

    @property
    def is_on_loopback(self) -> bool:
        """Whether nobody but this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def is_behind_tls(self) -> bool:
        """Whether people reach it over TLS."""
        return (self.public_url or "").startswith("https://")

    @property
    def host_names(self) -> frozenset[str]:
        """That it answers to, without ports; empty for every one."""
        if self.public_url is not None:
            return LOOPBACK_NAMES | {urlsplit(self.public_url).hostname or ""}
        return LOOPBACK_NAMES if self.is_on_loopback else frozenset()

    @field_validator("database_url")
    @classmethod
    def _is_known(cls, url: SecretStr) -> SecretStr:
        text = url.get_secret_value()
        scheme = text.partition("://")[0]
        if scheme not in {*DRIVERS, *DRIVERS.values()} or "://" not in text:
            raise ValueError("expected sqlite:///file or postgresql://user:password@host/name")
        # SQLAlchemy would take it for a database in memory, gone with the process.
        if scheme.startswith("sqlite") and not urlsplit(text).path.strip("/"):
            raise ValueError("sqlite:// names no file: write sqlite:///file")
        return url

    @property
    def driver_url(self) -> str:
        """The URL as SQLAlchemy takes it, with its password."""
        scheme, _, rest = self.database_url.get_secret_value().partition("://")
        return f"{DRIVERS.get(scheme, scheme)}://{rest}"

    @property
    def database_file(self) -> Path | None:
        """The file of SQLite; None for PostgreSQL."""
        scheme, _, rest = self.driver_url.partition("://")
        return Path(rest.removeprefix("/")) if scheme.startswith("sqlite") else None

    @property
    def key_file(self) -> Path:
        """Where the key of webhooks is, unless the settings hold it."""
        if self.webhook_key_file is not None:
            return self.webhook_key_file
        folder = Path("var/console") if self.database_file is None else self.database_file.parent
        return folder / "webhook.key"
