"""What every event of the contract is made of: its base class, and the types of its fields.

JSON by orjson. Unknown fields are ignored; a missing or mistyped one is a `BadEventError` that
names it.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

import orjson
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from stream.contract.field_texts import problems_of
from stream.errors import BadEventError, brief

Identifier = Annotated[str, Field(min_length=1, max_length=512)]
MAX_SECONDS = 1e9  # thirty years: what is longer is a mistake, and may not fit what reckons
Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]

# Bounds keep what others write from filling a worker's memory, or the labels of a metric. Each is
# set by hand, far beyond what the workers write.
MAX_STAGES = 100
MAX_STAGE_LETTERS = 100  # of a name such as `decode`
MAX_SHARDS = 4096  # as many as `library.shards` allows
MAX_DIMENSIONS = 65_536  # of a descriptor or a vector: whoever reads it allocates rows of so many
MAX_VALUES = 1_000_000  # of one message: `{},` takes thirty times its length once it is read
SHORT_LETTERS = 500  # of a dead letter's message where not even the original may travel


def _only_text(value: Any) -> Any:
    # pydantic would read a number as seconds since 1970, and a large one as milliseconds.
    if isinstance(value, int | float):
        raise ValueError("expected a date and time as text, such as 2026-01-31T12:00:00Z")
    return value


def _no_boolean(value: Any) -> Any:
    # To Python `True == 1`, so that `Literal[1]` would take JSON's `true`.
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


def _few_stages(value: Any) -> Any:
    if isinstance(value, dict):
        if len(value) > MAX_STAGES:
            raise ValueError(f"{len(value)} stages, expected at most {MAX_STAGES}")
        if any(isinstance(name, str) and len(name) > MAX_STAGE_LETTERS for name in value):
            raise ValueError(f"a stage with a name of more than {MAX_STAGE_LETTERS} characters")
    return value


Instant = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_only_text)]
VersionText = Annotated[str, Field(max_length=512)]
Uri = Annotated[str, Field(min_length=1, max_length=8192)]
ContentVersion = Annotated[
    int | VersionText, Field(description="Changes when the owner replaces the file")
]
Role = Literal["upload", "reference"]
Share = Annotated[float, Field(ge=0, le=1)]
StageSeconds = Annotated[
    dict[str, Seconds],
    Field(description="Wall-clock seconds by stage of the pipeline"),
    BeforeValidator(_few_stages),
]


class Event(BaseModel):
    """What all events share: a schema version, and bytes in and out.

    A frozen value. Delivery is at least once: a reader may see the same event twice, with the
    same ids.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, protected_namespaces=())

    topic: ClassVar[str]

    schema_version: Annotated[Literal[1], BeforeValidator(_no_boolean)] = 1

    @classmethod
    def from_bytes(cls, data: bytes | None) -> Self:
        """Read an event from a message value.

        Raises:
            BadEventError: not JSON, not an object, or a field is missing or mistyped (named).
        """
        return cls.from_json(parse_json(data))

    @classmethod
    def from_json(cls, fields: Any) -> Self:
        """Read an event from parsed JSON.

        Raises:
            BadEventError: not an object, or a field is missing or mistyped (named).
        """
        if not isinstance(fields, dict):
            raise BadEventError(f"expected a JSON object, got {type(fields).__name__}")
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            # Neither inputs nor the cause: they quote what was sent, megabytes perhaps.
            told = problems_of(cls.__name__, error.errors(include_url=False, include_input=False))
            raise BadEventError(told) from None

    def to_bytes(self) -> bytes:
        """The message value: JSON without the fields that are not set."""
        return orjson.dumps(self.model_dump(exclude_none=True))

    def key(self) -> bytes | None:
        """The message key: the video id, so that all of one video stays in order."""
        video_id = getattr(self, "video_id", None)
        return None if video_id is None else video_id.encode()


class OutsideEvent(Event):
    """What others write: a field that is null counts as left out."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        return {name: value for name, value in fields.items() if value is not None}


def parse_json(data: bytes | None) -> Any:
    """Parse a message value.

    Raises:
        BadEventError: empty, not JSON, or of more values than any event has.
    """
    if not data:
        raise BadEventError("the message has no value; expected a JSON object")
    # Before it is read: a few KB, unpacked, could fill the memory of every worker that reads them.
    values = sum(map(data.count, (b",", b"[", b"{")))  # at most; texts may hold such letters too
    if values > MAX_VALUES:
        raise BadEventError(f"JSON of up to {values} values, expected at most {MAX_VALUES}")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadEventError(brief(f"not JSON: {error}")) from None
