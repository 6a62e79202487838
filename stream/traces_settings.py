"""Settings of traces: where they are sent, and of how many uploads."""

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

PATH = "/v1/traces"  # of OTLP over HTTP


class TracesSettings(BaseModel):
    """One trace per upload, for a collector that speaks OpenTelemetry's protocol over HTTP.

    Attributes:
        endpoint: of the collector, such as `http://127.0.0.1:4318`; nothing is traced without it.
            Where it has no path, it is OTLP's own, `/v1/traces`.
        sample_share: of the uploads that come without a trace of their own; where they come with
            one, that says whether it is recorded.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: str | None = None
    sample_share: float = Field(default=1.0, ge=0, le=1)

    @field_validator("endpoint")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected an address of OTLP over HTTP, such as http://127.0.0.1:4318")
        return url if parts.path.strip("/") else parts._replace(path=PATH).geturl()
