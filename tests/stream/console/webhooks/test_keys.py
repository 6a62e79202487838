"""The key of webhooks: made once, nobody else's, and enough to make every secret anew."""

import base64
from pathlib import Path

import pytest
from pydantic import ValidationError

from stream.console.settings import ConsoleSettings
from stream.console.webhooks.keys import signing_key
from stream.errors import SettingsError


def settings(folder: Path, **fields: object) -> ConsoleSettings:
    return ConsoleSettings.model_validate(
        {"database_url": f"sqlite:///{folder}/console.db"} | fields
    )


def test_it_is_made_once_beside_the_database_and_nobody_elses(tmp_path: Path) -> None:
    own = settings(tmp_path / "new")
    assert signing_key(own, make=False) is None
    first, again = signing_key(own, make=True), signing_key(own, make=True)
    assert first is not None and again is not None
    assert first.key_id == again.key_id
    assert first.secret("wh_a", 1) == again.secret("wh_a", 1)
    (file,) = (tmp_path / "new").iterdir()
    assert file.name == "webhook.key" and file.stat().st_mode & 0o777 == 0o600


def test_no_two_secrets_are_alike(tmp_path: Path) -> None:
    key = signing_key(settings(tmp_path), make=True)
    other = signing_key(settings(tmp_path / "other"), make=True)
    assert key is not None and other is not None and key.key_id != other.key_id
    secrets = {key.secret("wh_a", 1), key.secret("wh_a", 2), key.secret("wh_b", 1)}
    secrets.add(other.secret("wh_a", 1))
    assert len(secrets) == 4
    for secret in secrets:
        assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32


def test_one_of_the_settings_needs_no_file(tmp_path: Path) -> None:
    own = settings(tmp_path, webhook_key="k" * 32)
    key = signing_key(own, make=True)
    assert key is not None and [*tmp_path.iterdir()] == []
    assert "kkkk" not in repr(own) and "kkkk" not in key.key_id
    with pytest.raises(ValidationError, match="webhook_key"):
        settings(tmp_path, webhook_key="k" * 31)


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "short.key"
    file.write_text("short\n")
    with pytest.raises(SettingsError, match="5 characters, expected 32 or more"):
        signing_key(settings(tmp_path, webhook_key_file=file), make=True)
    with pytest.raises(SettingsError, match="webhook_key_file"):
        signing_key(settings(tmp_path, webhook_key_file=tmp_path), make=True)


def test_on_postgresql_it_is_in_the_working_directory() -> None:
    url = "postgresql://ann:hidden@host/name"
    own = ConsoleSettings.model_validate({"database_url": url})
    assert own.key_file == Path("var/console/webhook.key")
