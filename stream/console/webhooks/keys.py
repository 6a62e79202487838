"""The secrets that sign webhooks: made from a key that is not in the database, never kept.

Who reads the database, a back-up, a log or a page, can sign nothing. One secret is a function of
the key, the endpoint and a number: so it can be made anew, and its successor is another.
"""

import base64
import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

from stream.console.settings import ConsoleSettings
from stream.errors import SettingsError
from stream.texts import Text

KEY_BYTES = 32
MIN_LETTERS = 32  # of a key: as many as `ConsoleSettings.webhook_key`


class SigningKey:
    """What all secrets are made by.

    Attributes:
        key_id: tells it from another key; nothing can be made by it.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.key_id = hmac.new(key, b"key id", hashlib.sha256).hexdigest()[:16]

    def secret(self, webhook_id: str, number: int) -> str:
        """A secret of an endpoint, as Standard Webhooks writes it."""
        made = hmac.new(self._key, f"webhook {webhook_id} {number}".encode(), hashlib.sha256)
        return f"whsec_{base64.b64encode(made.digest()).decode()}"


def signing_key(settings: ConsoleSettings, *, make: bool) -> SigningKey | None:
    """The key of the settings, or of the file.

    Args:
        settings: of the console.
        make: whether to make the file where it isn't there. Else there is no key then.

    Raises:
        SettingsError: the file can't be read or made, or holds too little.
    """
    if settings.webhook_key is not None:
        return SigningKey(settings.webhook_key.get_secret_value().encode())
    file = settings.key_file
    try:
        if make and not file.exists():
            _make(file)
        text = file.read_text().strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SettingsError(
            Text(
                "console.webhook_key_file = {file} can't be used ({error}): name a file that the "
                "console may read and make (SAMESOURCE_CONSOLE__WEBHOOK_KEY_FILE)",
                file=repr(str(file)),
                error=type(error).__name__,
            )
        ) from error
    if len(text) < MIN_LETTERS:
        raise SettingsError(
            Text(
                "console.webhook_key_file = {file} has {number} characters, expected {least} or "
                "more",
                file=repr(str(file)),
                number=len(text),
                least=MIN_LETTERS,
            )
        )
    return SigningKey(text.encode())


def _make(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
            made.write(secrets.token_urlsafe(KEY_BYTES) + "\n")
            made.flush()
            os.fsync(made.fileno())
        # Whole or not at all; of two consoles that make one, the second takes the first's.
        with suppress(FileExistsError):
            os.link(new, file)
    finally:
        new.unlink(missing_ok=True)
