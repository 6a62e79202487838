"""The settings: which source wins, what is refused in which words, what clients are given."""

import os
import re
import ssl
import tomllib
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from stream.broker.settings import KafkaSettings
from stream.errors import SettingsError
from stream.settings import Settings, load_settings

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SAMESOURCE_")]:
        monkeypatch.delenv(name)


def file_with(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text)
    return path


def test_environment_wins_over_file_and_file_over_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = file_with(tmp_path, '[kafka]\ntopic_prefix = "file."\nreplication_factor = 2\n')
    monkeypatch.setenv("SAMESOURCE_KAFKA__TOPIC_PREFIX", "environment.")
    kafka = load_settings(file).kafka
    assert (kafka.topic_prefix, kafka.replication_factor) == ("environment.", 2)
    assert kafka.bootstrap_servers == KafkaSettings().bootstrap_servers


def test_an_argument_wins_over_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMESOURCE_LIBRARY__SHARDS", "2")
    assert load_settings(library={"shards": 3}).library.shards == 3


def test_one_of_a_few_numbers_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SAMESOURCE_LIBRARY__CODE_BITS", "2")
    assert load_settings().library.code_bits == 2
    for wrong in ("3", "two"):
        monkeypatch.setenv("SAMESOURCE_LIBRARY__CODE_BITS", wrong)
        with pytest.raises(SettingsError, match=f"code_bits = '?{wrong}'?: Input should be 1, 2"):
            load_settings()


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMESOURCE_CONFIG", str(file_with(tmp_path, "[library]\nshards = 5\n")))
    assert load_settings().library.shards == 5


def test_one_file_does_not_leak_into_the_next_load(tmp_path: Path) -> None:
    load_settings(file_with(tmp_path, "[library]\nshards = 5\n"))
    assert load_settings().library.shards == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[kafka]\nbotstrap = "a:1"\n', "kafka.botstrap = 'a:1'"),
        ("[kafak]\n", "kafak = {}"),
        ('[library]\nshards = "many"\n', "library.shards = 'many'"),
        ("[library]\nshards = 0\n", "library.shards = 0"),
        ('[kafka]\ntopic_prefix = "a b"\n', "kafka.topic_prefix = 'a b'"),
        ('[kafka]\nsecurity_protocol = "TLS"\n', "kafka.security_protocol = 'TLS'"),
        ("[kafka\n", "settings.toml"),
    ],
)
def test_a_wrong_file_is_an_error_with_key_value_and_file(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)) as caught:
        load_settings(file_with(tmp_path, text))
    assert "settings.toml" in str(caught.value)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no settings file at .*gone.toml"):
        load_settings(tmp_path / "gone.toml")


@pytest.mark.parametrize(
    ("key_frames", "frames_per_second", "words"),
    [
        (
            {"query_every_seconds": 0.25},
            1.0,
            "key_frames.query_every_seconds = 0.25: frames are chosen among those that "
            "decode.frames_per_second = 1 gives, expected at least 1; "
            "raise it, or decode.frames_per_second to 4",
        ),
        ({}, 0.5, "expected at least 2; raise it, or decode.frames_per_second to 1"),
        ({"selector": "even", "every_seconds": 0.2}, 4.0, "key_frames.every_seconds = 0.2: "),
    ],
)
def test_frames_closer_together_than_they_are_decoded_are_refused(
    key_frames: dict[str, object], frames_per_second: float, words: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        load_settings(key_frames=key_frames, decode={"frames_per_second": frames_per_second})


@pytest.mark.parametrize(
    ("key_frames", "frames_per_second"),
    [
        ({"query_every_seconds": 0.25}, 4.0),
        ({"query_every_seconds": 0.33}, 3.0),
        ({"every_seconds": 0.2}, 1.0),  # `learned` doesn't read it
    ],
)
def test_frames_as_close_together_as_they_are_decoded_can_be_chosen(
    key_frames: dict[str, object], frames_per_second: float
) -> None:
    load_settings(key_frames=key_frames, decode={"frames_per_second": frames_per_second})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SAMESOURCE_KAFKA__BOTSTRAP", "botstrap"),
        ("SAMESOURCE_KAFAK__BOOTSTRAP_SERVERS", "SAMESOURCE_KAFAK__BOOTSTRAP_SERVERS"),
        ("SAMESOURCE_LIBRARY__SHARDS", "library.shards = 'x'"),
    ],
)
def test_a_wrong_variable_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(SettingsError, match=re.escape(words)):
        load_settings()


def test_an_advanced_key_is_the_same_key_of_the_plain_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = file_with(
        tmp_path,
        "[library]\nshards = 2\n[advanced.library]\nprobes = 9\n[advanced.search]\nprobes = 8\n",
    )
    settings = load_settings(file)
    assert (settings.library.shards, settings.library.probes, settings.search.probes) == (2, 9, 8)
    monkeypatch.setenv("SAMESOURCE_LIBRARY__PROBES", "7")
    assert load_settings(file).library.probes == 7, "the environment wins, by the plain name"


FORMER = [
    ("candidate_similarity", "min_similarity", 0.7),
    ("candidate_similarity_growth", "min_similarity_growth", 0.2),
    ("segment_rows", "run_rows", 77),
    ("least_score", "min_score", 0.7),
]


@pytest.mark.parametrize("table", ["library", "advanced.library"])
@pytest.mark.parametrize(("old", "new", "value"), FORMER)
def test_a_file_may_call_a_key_as_it_was_called_before(
    tmp_path: Path, old: str, new: str, value: float, table: str
) -> None:
    library = load_settings(file_with(tmp_path, f"[{table}]\n{old} = {value}\n")).library
    assert getattr(library, new) == value


@pytest.mark.parametrize(("old", "new", "value"), FORMER)
def test_a_variable_of_a_former_name_wins_over_a_file_with_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, value: float
) -> None:
    monkeypatch.setenv(f"SAMESOURCE_LIBRARY__{old.upper()}", str(value))
    library = load_settings(file_with(tmp_path, f"[library]\n{new} = 1\n")).library
    assert getattr(library, new) == value


@pytest.mark.parametrize(("old", "new", "value"), FORMER)
def test_a_variable_of_the_new_name_wins_over_a_file_with_the_former_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, value: float
) -> None:
    monkeypatch.setenv(f"SAMESOURCE_LIBRARY__{new.upper()}", str(value))
    library = load_settings(file_with(tmp_path, f"[advanced.library]\n{old} = 1\n")).library
    assert getattr(library, new) == value


def test_an_argument_and_json_may_use_former_names_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMESOURCE_LIBRARY", '{"segment_rows": 5, "candidate_similarity": 0.5}')
    library = load_settings(library={"segment_rows": 6}).library
    assert (library.run_rows, library.min_similarity) == (6, 0.5)


def test_minima_of_other_sections_have_former_names_too(tmp_path: Path) -> None:
    text = "[policy]\nleast_piece_seconds = 2.0\n[fetch]\nleast_bytes_per_second = 9\n"
    settings = load_settings(file_with(tmp_path, text))
    assert settings.policy.min_piece_seconds == 2.0
    assert settings.fetch.min_bytes_per_second == 9


def test_both_names_of_a_key_in_one_table_are_an_error(tmp_path: Path) -> None:
    file = file_with(tmp_path, "[library]\nsegment_rows = 5\nrun_rows = 6\n")
    words = "library.segment_rows was renamed to library.run_rows: keep one of the two"
    with pytest.raises(SettingsError, match=words):
        load_settings(file)


def test_both_names_in_both_parts_are_an_error(tmp_path: Path) -> None:
    file = file_with(tmp_path, "[library]\nsegment_rows = 5\n[advanced.library]\nrun_rows = 6\n")
    with pytest.raises(SettingsError, match=r"library\.run_rows and advanced\.library\.run_rows"):
        load_settings(file)


@pytest.mark.parametrize("table", ["embedding", "advanced.embedding"])
def test_a_file_may_call_a_section_as_it_was_called_before(tmp_path: Path, table: str) -> None:
    pair = load_settings(file_with(tmp_path, f"[{table}]\nframes = 7\n")).text_video
    assert pair.frames == 7


def test_a_table_in_a_section_of_the_former_name_is_read_too(tmp_path: Path) -> None:
    text = (
        '[embedding.outside]\nimage = "i"\ntext = "t"\ntokenizer = "k"\n'
        "input_size = 16\ndimension = 4\nmost_tokens = 9\n"
    )
    pair = load_settings(file_with(tmp_path, text)).text_video
    assert pair.outside is not None
    assert (pair.outside.dimension, pair.outside.max_tokens) == (4, 9)
    with pytest.raises(SettingsError, match=r"text_video\.outside\.most_tokens was renamed to "):
        load_settings(file_with(tmp_path, text + "max_tokens = 9\n"))


@pytest.mark.parametrize("names", [("EMBEDDING", "text_video"), ("TEXT_VIDEO", "embedding")])
def test_a_variable_wins_over_a_file_whatever_each_calls_the_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, str]
) -> None:
    variable, table = names
    monkeypatch.setenv(f"SAMESOURCE_{variable}__FRAMES", "7")
    pair = load_settings(file_with(tmp_path, f"[{table}]\nframes = 8\nthumbnails = 2\n")).text_video
    assert (pair.frames, pair.thumbnails) == (7, 2)


def test_an_argument_and_json_may_use_a_former_section_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SAMESOURCE_EMBEDDING", '{"frames": 7, "thumbnails": 2}')
    monkeypatch.setenv("SAMESOURCE_EMBEDDING__THUMBNAILS", "1")
    pair = load_settings(embedding={"frames": 8}).text_video
    assert (pair.frames, pair.thumbnails) == (8, 1)


def test_what_is_no_json_in_a_variable_of_a_former_section_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SAMESOURCE_EMBEDDING", "frames")
    with pytest.raises(SettingsError, match="SAMESOURCE_EMBEDDING: lists and tables are JSON"):
        load_settings()


TWO_NAMES = "embedding was renamed to text_video: keep one of the two"


@pytest.mark.parametrize("part", ["", "advanced."])
def test_both_names_of_a_section_in_one_file_are_an_error(tmp_path: Path, part: str) -> None:
    file = file_with(tmp_path, f"[embedding]\nthumbnails = 2\n[{part}text_video]\nframes = 7\n")
    with pytest.raises(SettingsError, match=TWO_NAMES):
        load_settings(file)


def test_both_names_of_a_section_in_the_environment_are_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SAMESOURCE_EMBEDDING__THUMBNAILS", "2")
    monkeypatch.setenv("SAMESOURCE_TEXT_VIDEO__FRAMES", "7")
    with pytest.raises(SettingsError, match=TWO_NAMES):
        load_settings()


@pytest.mark.parametrize("table", ["", "advanced."])
def test_any_key_may_stand_in_either_part(tmp_path: Path, table: str) -> None:
    by_section: dict[str, str] = {}
    parts = re.split(
        r"^\[(?:advanced\.)?(\w+)\]", (CONFIGS / "default.toml").read_text(), flags=re.M
    )
    for section, keys in zip(parts[1::2], parts[2::2], strict=True):
        by_section[section] = by_section.get(section, "") + keys
    text = "".join(f"[{table}{section}]{keys}" for section, keys in by_section.items())
    assert load_settings(file_with(tmp_path, text)).model_dump() == load_settings().model_dump()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[library]\nprobes = 1\n[advanced.library]\nprobes = 1\n",
            "library.probes and advanced.library.probes are one setting: keep one of the two",
        ),
        ("[advanced.library]\nprobs = 5\n", "advanced.library.probs: unknown key; did you mean "),
        ("[advanced.libary]\nprobes = 5\n", "advanced.libary: unknown key; did you mean library?"),
        ("[advanced]\nprobes = 5\n", "advanced.probes: unknown key; known: kafka"),
        ("advanced = 5\n", "advanced = 5: expected tables"),
        ("[advanced.library]\nshards = 0\n", "library.shards = 0"),
        ("library = 5\n[advanced.library]\nprobes = 5\n", "library = 5"),
    ],
)
def test_a_wrong_advanced_key_is_an_error_that_names_it(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)) as caught:
        load_settings(file_with(tmp_path, text))
    assert "settings.toml" in str(caught.value)


def test_the_environment_has_no_advanced_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMESOURCE_ADVANCED__LIBRARY__PROBES", "5")
    with pytest.raises(SettingsError, match="unknown setting SAMESOURCE_ADVANCED__LIBRARY__PROBES"):
        load_settings()


def test_the_shipped_default_file_is_the_defaults() -> None:
    assert load_settings(CONFIGS / "default.toml").model_dump() == load_settings().model_dump()


def test_the_shipped_default_file_names_every_setting() -> None:
    text = (CONFIGS / "default.toml").read_text()
    uncommented = tomllib.loads(re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE))
    advanced = uncommented.pop("advanced")
    first = {(section, key) for section, keys in uncommented.items() for key in keys}
    second = {(section, key) for section, keys in advanced.items() for key in keys}
    assert first | second == {
        (section, key) for section, part in Settings() for key in type(part).model_fields
    }
    assert not first & second, "a key stands in one of the two parts"
    assert len(first) < 60, "what a user has to read before the first start"


def test_the_production_file_asks_for_security_and_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMESOURCE_KAFKA__SASL_PASSWORD", "hunter2")
    settings = load_settings(CONFIGS / "production.toml")
    assert settings.kafka.uses_tls and settings.kafka.uses_sasl
    assert settings.kafka.replication_factor == 3
    assert "file" not in settings.fetch.schemes


SASL_SSL = KafkaSettings(
    bootstrap_servers="127.0.0.1:1",
    security_protocol="SASL_SSL",
    sasl_mechanism="SCRAM-SHA-256",
    sasl_username="ann",
    sasl_password=SecretStr("hunter2"),
)


async def test_aiokafka_is_given_the_security_settings() -> None:
    options = SASL_SSL.aiokafka_options()
    assert isinstance(options.pop("ssl_context"), ssl.SSLContext)
    assert options == {
        "bootstrap_servers": "127.0.0.1:1",
        "security_protocol": "SASL_SSL",
        "retry_backoff_ms": 500,
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "ann",
        "sasl_plain_password": "hunter2",
    }
    producer = AIOKafkaProducer(**SASL_SSL.aiokafka_options())  # refuses unknown options
    await producer.stop()


def test_librdkafka_is_given_the_security_settings() -> None:
    kafka = SASL_SSL.model_copy(update={"ssl_cafile": ssl.get_default_verify_paths().cafile})
    options = kafka.librdkafka_options()
    assert options["sasl.username"] == "ann" and options["sasl.password"] == "hunter2"
    assert options["ssl.ca.location"] == kafka.ssl_cafile
    Producer({**options, "log_level": 0})  # refuses options that it doesn't know
    AdminClient({**options, "log_level": 0})


def test_a_plain_connection_is_given_no_security_settings() -> None:
    kafka = KafkaSettings(sasl_username="ann", sasl_password=SecretStr("hunter2"))
    assert kafka.ssl_context() is None
    assert set(kafka.librdkafka_options()) == {"bootstrap.servers", "security.protocol"}
    assert not any("sasl" in name for name in kafka.aiokafka_options())


def test_secrets_are_not_shown() -> None:
    assert "hunter2" not in repr(SASL_SSL) + SASL_SSL.model_dump_json()


def test_the_prefix_goes_in_front_of_a_topic() -> None:
    assert KafkaSettings(topic_prefix="eu.").topic("alert.raised") == "eu.alert.raised"


def test_a_worker_that_has_one_slow_video_is_live() -> None:
    settings = load_settings()
    longest = settings.fetch.timeout_seconds + settings.decode.timeout_seconds
    assert settings.worker.stalled_seconds > longest
