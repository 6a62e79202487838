"""TLS and SASL against a real broker: the settings of a user's own cluster reach every client."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import SecretStr

from stream.broker.local import LocalKafka, held_port
from stream.broker.settings import KafkaSettings, SaslMechanism
from stream.broker.topics import check_topics, create_topics
from stream.errors import BrokerError

USER, PASSWORD = "ann", "correct-horse"
PLAIN_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Signs the broker's certificate."""
    return trustme.CA()


@pytest.fixture(scope="module")
def authority_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(scope="module")
def secure_servers(
    authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A broker with a second listener that asks for TLS and a password; its address."""
    folder: Path = tmp_path_factory.mktemp("secure")
    certificate = folder / "broker.pem"
    certificate.write_bytes(pem_of(authority.issue_cert("127.0.0.1")))
    with (
        held_port() as port,
        LocalKafka(folder, properties=secure_properties(port, certificate)) as kafka,
    ):
        add_scram_user(kafka)
        yield f"127.0.0.1:{port}"


def pem_of(certificate: trustme.LeafCert) -> bytes:
    """Key and chain in one file; Java reads keys in PKCS 8 only."""
    key = load_pem_private_key(certificate.private_key_pem.bytes(), password=None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem + b"".join(part.bytes() for part in certificate.cert_chain_pems)


def secure_properties(port: int, certificate: Path) -> dict[str, str]:
    return {
        "listeners": "BROKER://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller_port},"
        f"SECURE://127.0.0.1:{port}",
        "advertised.listeners": f"BROKER://127.0.0.1:${{port}},SECURE://127.0.0.1:{port}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "listener.name.secure.plain.sasl.jaas.config": f'{PLAIN_LOGIN} user_{USER}="{PASSWORD}";',
        "listener.name.secure.scram-sha-512.sasl.jaas.config": f"{SCRAM_LOGIN};",
        "listener.name.secure.ssl.keystore.type": "PEM",
        "listener.name.secure.ssl.keystore.location": str(certificate),
    }


def add_scram_user(kafka: LocalKafka) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    user = UserScramCredentialUpsertion(USER, how, PASSWORD.encode())
    admin.alter_user_scram_credentials([user])[USER].result(timeout=10)


def settings_of(
    servers: str, authority_file: str | None, mechanism: SaslMechanism, password: str = PASSWORD
) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=servers,
        topic_prefix=f"{mechanism.lower()}.",
        security_protocol="SASL_SSL",
        sasl_mechanism=mechanism,
        sasl_username=USER,
        sasl_password=SecretStr(password),
        ssl_cafile=authority_file,
    )


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_topics_and_records_go_through_tls_with_a_password(
    secure_servers: str, authority_file: str, mechanism: SaslMechanism
) -> None:
    kafka = settings_of(secure_servers, authority_file, mechanism)
    create_topics(kafka)
    assert check_topics(kafka) == []
    topic = kafka.topic("alert.raised")
    async with AIOKafkaProducer(**kafka.aiokafka_options()) as producer:
        await producer.send_and_wait(topic, b"secret")
    async with AIOKafkaConsumer(
        topic, **kafka.aiokafka_options(), auto_offset_reset="earliest"
    ) as consumer:
        assert (await consumer.getone()).value == b"secret"


def test_a_wrong_password_is_an_error_that_says_so(
    secure_servers: str, authority_file: str
) -> None:
    kafka = settings_of(secure_servers, authority_file, "PLAIN", password="wrong")
    with pytest.raises(BrokerError, match="(?i)authentication failed"):
        create_topics(kafka)


def test_an_unknown_authority_is_an_error_that_says_so(secure_servers: str) -> None:
    with pytest.raises(BrokerError, match="(?i)certificate"):
        create_topics(settings_of(secure_servers, None, "PLAIN"))
