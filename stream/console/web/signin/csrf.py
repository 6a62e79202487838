"""Forms that only our own pages can send: a token of the session, and the browser's word for it."""

import hashlib
import hmac
from collections.abc import Mapping

FIELD = "csrf"
HEADER = "x-csrf-token"


def form_token(session_secret: str) -> str:
    """What every form of a session carries; nobody can make it who doesn't hold the cookie."""
    return hmac.new(session_secret.encode(), b"form", hashlib.sha256).hexdigest()


def is_ours(session_secret: str, given: str | None) -> bool:
    """Whether a form carries its session's token."""
    # As bytes: of text, `compare_digest` takes ASCII alone and raises.
    return given is not None and hmac.compare_digest(
        form_token(session_secret).encode(), given.encode(errors="replace")
    )


def from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether the browser says that another site sent this request."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        # A neighbour under the same domain counts as another site; `none` is an address typed in.
        return site not in ("same-origin", "none")
    # For browsers without the first. Who sends neither is held up by the form's token alone.
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")
