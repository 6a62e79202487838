"""How to reach Kafka: the settings that every client of the service shares."""

import ssl
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

RETRY_BACKOFF_MILLISECONDS = 500  # aiokafka's own 100 fills the logs while a broker is away


class KafkaSettings(BaseModel):
    """The cluster, its security, and how topics are named.

    `broker = "embedded"` runs librdkafka's mock cluster inside the process: for trying out.
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
        """How long the broker may hold a fetch that finds nothing.

        The embedded one holds it all that time, whatever comes meanwhile.
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
            password = self.ssl_keyfile_password
            context.load_cert_chain(
                self.ssl_certfile,
                self.ssl_keyfile,
                password.get_secret_value() if password else None,
            )
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


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()
