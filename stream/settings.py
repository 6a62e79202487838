"""The settings of the whole service: environment over file over default.

The only reader of the environment. `SAMESOURCE_KAFKA__BOOTSTRAP_SERVERS=host:9092` sets
`kafka.bootstrap_servers`; `SAMESOURCE_CONFIG=configs/production.toml` names the file, in which
`[advanced.kafka]` holds keys of `[kafka]`.
"""

import difflib
import json
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Self, get_args

from pydantic import BaseModel, ValidationError, create_model, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as EnvironmentValueError

from models.keyframes.settings import KeyFrameSettings
from stream.broker.settings import KafkaSettings
from stream.console.settings import ConsoleSettings
from stream.decide.settings import DecideSettings, PolicySettings
from stream.decode.settings import DecodeSettings
from stream.errors import SettingsError
from stream.fetch.settings import FetchSettings
from stream.fingerprint.settings import EncoderSettings, TextVideoSettings
from stream.library.settings import LibrarySettings
from stream.search.settings import SearchSettings
from stream.traces_settings import TracesSettings
from stream.worker_settings import WorkerSettings

CONFIG_VARIABLE = "SAMESOURCE_CONFIG"
PREFIX = "SAMESOURCE_"
NESTED = "__"
ADVANCED = "advanced"
FORMER_SECTIONS = {"embedding": "text_video"}
"""What sections were called before; files and variables of then are still read."""
ROUNDED = 0.95  # of a distance, at which it is taken for the whole: 0.33 is three a second
SECRET_WORDS = ("word", "secret", "token")


class Settings(BaseSettings):
    """All settings, composed of each owner's part."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=NESTED,
        extra="forbid",
        frozen=True,
    )
    file: ClassVar[Path | None] = None

    kafka: KafkaSettings = KafkaSettings()
    fetch: FetchSettings = FetchSettings()
    decode: DecodeSettings = DecodeSettings()
    key_frames: KeyFrameSettings = KeyFrameSettings()
    encoder: EncoderSettings = EncoderSettings()
    text_video: TextVideoSettings = TextVideoSettings()
    library: LibrarySettings = LibrarySettings()
    decide: DecideSettings = DecideSettings()
    policy: PolicySettings = PolicySettings()
    search: SearchSettings = SearchSettings()
    worker: WorkerSettings = WorkerSettings()
    console: ConsoleSettings = ConsoleSettings()
    traces: TracesSettings = TracesSettings()

    @model_validator(mode="after")
    def _chosen_among_the_decoded(self) -> Self:
        """Frames can't be chosen closer together than they are decoded."""
        rate, key_frames = self.decode.frames_per_second, self.key_frames
        names = ["query_every_seconds", *(["every_seconds"] * (key_frames.selector == "even"))]
        for name in names:
            seconds = getattr(key_frames, name)
            if seconds * rate < ROUNDED:
                raise ValueError(
                    f"key_frames.{name} = {seconds:g}: frames are chosen among those that "
                    f"decode.frames_per_second = {rate:g} gives, expected at least {1 / rate:g}; "
                    f"raise it, or decode.frames_per_second to {1 / seconds:g}"
                )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file; defaults last."""
        return (
            init_settings,
            # Renamed in each source alone: a variable wins over a file, whatever each calls a key.
            InitSettingsSource(settings_cls, _renamed(_former_variables() | env_settings())),
            InitSettingsSource(settings_cls, {} if cls.file is None else _read(cls.file)),
        )


def load_settings(file: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings.

    Args:
        file: a TOML file; by default the one that `SAMESOURCE_CONFIG` names, if it is set.
        **overrides: sections that win over everything, as dictionaries or settings objects.

    Raises:
        SettingsError: a key is unknown or a value unusable; the text names both.
    """
    named = file or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    if named is not None and not named.is_file():
        raise SettingsError(f"no settings file at {named}: name one that exists, or none")
    # A class of its own for each file: pydantic-settings reads sources off the class, and another
    # thread may load another file.
    source = type("Settings", (Settings,), {"file": named, "__doc__": Settings.__doc__})
    # A misspelt section would be ignored, and its setting stay as it was.
    _refuse_unknown_variables()
    try:
        settings: Settings = source(**_renamed(overrides))
    except ValidationError as error:
        problems = "; ".join(_problem(problem) for problem in error.errors(include_url=False))
        raise SettingsError(f"{problems} (file: {named or 'none'})") from error
    except EnvironmentValueError as error:
        raise SettingsError(f"{_not_json()}: {error}") from error
    except ValueError as error:
        raise SettingsError(f"{named}: {error}: expected a TOML file in UTF-8") from error
    return settings


def _read(file: Path) -> dict[str, Any]:
    """The sections of a file, each with what `[advanced.<section>]` adds to it.

    Raises:
        SettingsError: a key stands in both tables, or an advanced one is unknown.
        ValueError: it is no TOML in UTF-8.
    """
    sections: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    advanced = sections.pop(ADVANCED, {})
    _refuse_two_names([*sections, *(advanced if isinstance(advanced, dict) else ())])
    advanced = _renamed(advanced)
    sections = _renamed(sections)
    for section, keys in _tables(advanced, file).items():
        plain = sections.setdefault(section, {})
        both = sorted(keys.keys() & plain.keys()) if isinstance(plain, dict) else []
        if both:
            told = ", ".join(
                f"{section}.{key} and {ADVANCED}.{section}.{key} are one setting" for key in both
            )
            raise SettingsError(f"{told}: keep one of the two (file: {file})")
        if isinstance(plain, dict):
            sections[section] = plain | keys
    return sections


def _former_variables() -> dict[str, Any]:
    """What the environment says of sections by the names that they had before."""
    sections: Any = {
        old: (Settings.model_fields[new].annotation, ...) for old, new in FORMER_SECTIONS.items()
    }
    former = create_model("FormerSections", __base__=BaseSettings, **sections)
    return EnvSettingsSource(former, env_prefix=PREFIX, env_nested_delimiter=NESTED)()


def _refuse_two_names(sections: Iterable[str]) -> None:
    """Raises SettingsError where a section stands there under both of its names."""
    there = set(sections)
    for old, new in FORMER_SECTIONS.items():
        if {old, new} <= there:
            raise SettingsError(f"{old} was renamed to {new}: keep one of the two")


def _renamed(sections: Any) -> Any:
    """Sections and keys by the names of today, where they had those of before.

    Raises:
        SettingsError: a section or a key stands there under both.
    """
    if not isinstance(sections, dict):
        return sections
    _refuse_two_names(sections)
    found = {FORMER_SECTIONS.get(section, section): keys for section, keys in sections.items()}
    return _keys_renamed(found, Settings, ())


def _keys_renamed(keys: Any, kind: type[BaseModel] | None, place: tuple[str, ...]) -> Any:
    """What stands in a table by the keys of today, and so in each table in it."""
    if not isinstance(keys, dict) or kind is None:
        return keys
    named: dict[str, Any] = keys
    former: dict[str, str] = getattr(kind, "former_keys", {})
    for old, new in former.items():
        if old in named and new in named:
            was, is_now = (".".join((*place, name)) for name in (old, new))
            raise SettingsError(f"{was} was renamed to {is_now}: keep one of the two")
    found = {former.get(key, key): value for key, value in named.items()}
    return {
        key: _keys_renamed(value, _table(kind.model_fields.get(key)), (*place, key))
        for key, value in found.items()
    }


def _table(setting: FieldInfo | None) -> type[BaseModel] | None:
    """What a setting that is a table consists of, one that may be left out too."""
    annotation = None if setting is None else setting.annotation
    kinds = (annotation, *get_args(annotation))
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)


def _tables(advanced: Any, file: Path) -> dict[str, dict[str, Any]]:
    """The tables under `[advanced]`; the keys in them are those of their sections.

    Raises:
        SettingsError: there is something else in it.
    """
    if not isinstance(advanced, dict):
        raise SettingsError(f"{ADVANCED} = {advanced!r}: expected tables (file: {file})")
    for section, keys in advanced.items():
        place = [section]
        fields = Settings.model_fields
        if isinstance(keys, dict) and section in fields:
            known = getattr(fields[section].annotation, "model_fields", {})
            place += [key for key in keys if key not in known][:1]
            if len(place) == 1:
                continue
        raise SettingsError(
            f"{ADVANCED}.{'.'.join(place)}: unknown key; {_known(place)} (file: {file})"
        )
    return advanced


def variable_of(key: str) -> str:
    """The environment variable of a setting such as `kafka.topic_prefix`."""
    return PREFIX + key.upper().replace(".", NESTED)


def _problem(problem: Any) -> str:
    """One fault that pydantic found: key, value, what is wrong, and for a key what it may be."""
    place = [str(each) for each in problem["loc"]]
    key = ".".join(place)
    if problem["type"] == "extra_forbidden":
        return f"{key} = {_shown(key, problem['input'])}: unknown key; {_known(place)}"
    text: str = problem["msg"].removeprefix("Value error, ")
    if not key:
        return text  # about several sections; it names the keys
    if isinstance(problem["input"], dict):
        return f"{key}: {text}"  # about several values, one of which may be a secret
    return f"{key} = {_shown(key, problem['input'])}: {text}"


def _shown(key: str, value: Any) -> str:
    if any(word in key.lower() for word in SECRET_WORDS):
        return "…"
    return repr(value) if not value or not isinstance(value, dict | list) else "{…}"


def _known(place: list[str]) -> str:
    """What may stand where an unknown key does, the likeliest first."""
    fields: Any = Settings.model_fields
    for name in place[:-1]:
        fields = getattr(fields[name].annotation, "model_fields", {}) if name in fields else {}
    names = [".".join([*place[:-1], name]) for name in fields]
    near = difflib.get_close_matches(".".join(place), names, n=1, cutoff=0.8)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}known: {', '.join(names)}"


def _not_json() -> str:
    """Names the variables that should hold JSON and don't."""
    wrong = []
    for name, value in os.environ.items():
        if name.startswith(PREFIX) and name != CONFIG_VARIABLE:
            section, _, key = name.removeprefix(PREFIX).lower().partition(NESTED)
            section = FORMER_SECTIONS.get(section, section)
            fields = getattr(Settings.model_fields[section].annotation, "model_fields", {})
            kind = str(fields[key].annotation) if key in fields else ""
            if (not key or "tuple" in kind or "Settings" in kind) and not _is_json(value):
                wrong.append(name)
    return f'{", ".join(wrong)}: lists and tables are JSON in the environment, ["a", "b"]'


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _refuse_unknown_variables() -> None:
    for name in os.environ:
        if not name.startswith(PREFIX) or name == CONFIG_VARIABLE:
            continue
        section = name.removeprefix(PREFIX).split(NESTED)[0].lower()
        if section not in Settings.model_fields and section not in FORMER_SECTIONS:
            known = ", ".join(f"{PREFIX}{known.upper()}__…" for known in Settings.model_fields)
            raise SettingsError(f"unknown setting {name} in the environment; known: {known}")
