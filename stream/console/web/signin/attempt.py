"""A sign-in that is under way at the company's provider: what this browser has to come back with.

It travels in a cookie of the browser that began it, so that any of several consoles may end it,
and that nobody else's browser can.
"""

import base64
import hmac
import json
import secrets
from dataclasses import asdict, dataclass
from typing import Self

SECRET_BYTES = 32
LONGEST_BACK = 1500  # characters; browsers drop a cookie of more than 4096
COOKIE = "samesource_account"
KEPT_SECONDS = 600  # to type a password and to find the phone; set by hand


@dataclass(frozen=True)
class Attempt:
    """One sign-in.

    Attributes:
        state: comes back in the address: this browser began it.
        nonce: comes back in the token: it was made for this sign-in.
        verifier: of PKCE: whoever has only seen the code can't use it.
        back: the page to show then.
    """

    state: str
    nonce: str
    verifier: str
    back: str

    @classmethod
    def begun(cls, back: str) -> Self:
        """A new one; too long an address is forgotten, not the sign-in."""
        one, two, three = (secrets.token_urlsafe(SECRET_BYTES) for _ in range(3))
        return cls(one, two, three, back if len(back) <= LONGEST_BACK else "/queue")

    @classmethod
    def of_cookie(cls, text: str | None) -> Self | None:
        """The one that a browser brings; None where it brings none of ours."""
        try:
            found = json.loads(base64.urlsafe_b64decode(text or ""))
            known = cls(**found)
        except (ValueError, TypeError):
            return None
        return known if all(isinstance(each, str) for each in found.values()) else None

    @property
    def cookie(self) -> str:
        """As the browser keeps it."""
        return base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode()

    def is_of(self, state: str | None) -> bool:
        """Whether an answer belongs to it."""
        return state is not None and hmac.compare_digest(
            self.state.encode(), state.encode(errors="replace")
        )
