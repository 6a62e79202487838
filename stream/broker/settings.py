"""How to reach Kafka: the settings that every client of the service shares."""

import re
import ssl
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")
RETRY_BACKOFF_MILLISECONDS = 500  # aiokafka's own 100 fills the logs while a broker is away


class KafkaSettings(BaseModel):
    """The cluster, its security, and how topics are named.

    Attributes:
        broker: "embedded" runs librdkafka's mock cluster inside the process: for trying out.
        bootstrap_servers: host:port, comma-separated.
        topic_prefix: in front of every topic and consumer group, so that several installations
            share a cluster.
        replication_factor: of topics that are made; with 3 or more, a write counts once two
            brokers have it.
        security_protocol: as Kafka names it; host names in certificates are checked.
        sasl_mechanism: where the protocol is one of SASL.
        sasl_username: the same; as `sasl_password`.
        ssl_cafile: PEM; the system's certificates when left out.
        ssl_certfile: PEM, of the client, as `ssl_keyfile` and its password.
        max_message_bytes: that clients send and fetch at once: a fingerprint of a ten-hour video is
            several MB. The topics of fingerprints have as much.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    broker: Literal["kafka", "embedded"] = "kafka"
    bootstrap_servers: str = "127.0.0.1:9092"
    topic_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$")
    replication_factor: int = Field(default=1, ge=1)
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_keyfile_password: SecretStr | None = None
    max_message_bytes: int = Field(default=32 * 2**20, ge=2**20)

    @field_validator("bootstrap_servers")
    @classmethod
    def _are_servers(cls, servers: str) -> str:
        for server in servers.split(","):
            if not SERVER.fullmatch(server.strip()):
                raise ValueError(f"{server!r} is no server: write host:port, comma-separated")
        return servers

    @model_validator(mode="after")
    def _can_connect(self) -> Self:
        if self.broker == "embedded":
            return self
        if self.uses_sasl:
            for name in ("sasl_username", "sasl_password"):
                if not _secret(getattr(self, name)):
                    raise ValueError(
                        f"{name} is missing, which security_protocol = {self.security_protocol!r} "
                        f"needs: set it (SAMESOURCE_KAFKA__{name.upper()}), or choose SSL"
                    )
        if self.uses_tls:
            self._check_certificates()
        return self

    def _check_certificates(self) -> None:
        for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
            path = getattr(self, name)
            if path is not None and not Path(path).is_file():
                raise ValueError(f"{name} = {path!r}: no such file: name a PEM file")
        if self.ssl_keyfile and not self.ssl_certfile:
            raise ValueError("ssl_keyfile has no ssl_certfile: name the certificate of the key")
        # Made to be thrown away: a client would fail much later, and in OpenSSL's words.
        try:
            self.ssl_context()
        except OSError as error:  # ssl.SSLError is one
            named = ", ".join(
                f"{name} = {getattr(self, name)!r}"
                for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile")
                if getattr(self, name)
            )
            raise ValueError(
                f"{named}: not usable ({error.strerror or error}): expected PEM files, of which "
                "ssl_keyfile fits ssl_certfile, and ssl_keyfile_password where it is encrypted"
            ) from error

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.security_protocol in ("SSL", "SASL_SSL")

    @property
    def uses_sasl(self) -> bool:
        """Whether the client authenticates by SASL."""
        return self.security_protocol.startswith("SASL")

    @property
    def fetch_wait_ms(self) -> int:
        """How long the broker may hold a fetch that finds nothing: half a second, as is usual.

        The embedded one holds it all that time, whatever comes meanwhile: it is asked more often.
        """
        return 100 if self.broker == "embedded" else 500

    def topic(self, name: str) -> str:
        """The topic's name on the cluster, prefix included."""
        return self.topic_prefix + name

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS context, or None for a plain connection."""
        if not self.uses_tls:
            return None
        context = ssl.create_default_context(cafile=self.ssl_cafile)
        if self.ssl_certfile:
            # Without a password OpenSSL would ask for one on the terminal.
            password = _secret(self.ssl_keyfile_password) or ""
            context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile, password)
        return context

    def aiokafka_options(self) -> dict[str, Any]:
        """Connection arguments of aiokafka's clients."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
            "ssl_context": self.ssl_context(),
            "retry_backoff_ms": RETRY_BACKOFF_MILLISECONDS,
        }
        if self.uses_sasl:
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": _secret(self.sasl_password),
            }
        return options

    def librdkafka_options(self) -> dict[str, Any]:
        """Connection arguments of confluent-kafka's clients."""
        options: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
        }
        if self.uses_sasl:
            options |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.sasl_username,
                "sasl.password": _secret(self.sasl_password),
            }
        if self.uses_tls:
            options |= {
                name: value
                for name, value in {
                    "ssl.ca.location": self.ssl_cafile,
                    "ssl.certificate.location": self.ssl_certfile,
                    "ssl.key.location": self.ssl_keyfile,
                    "ssl.key.password": _secret(self.ssl_keyfile_password),
                }.items()
                if value is not None
            }
        return options


def _secret(value: SecretStr | str | None) -> str | None:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
