"""What a worker needs of its machine: looked at before it starts, so that a mistake is one line.

Serves `samesource worker` and `search`. Kafka and its topics are looked at elsewhere.
"""

import os
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path

from models.errors import ModelError
from models.runtime import Provider
from models.runtime.session import require_provider
from stream.errors import SettingsError
from stream.settings import Settings, variable_of


def check_machine(settings: Settings, roles: Iterable[str]) -> None:
    """Refuse to start where a file, folder, provider or port can't be used.

    Args:
        settings: of the service.
        roles: `fingerprint`, `library`, `decide`: each needs other things.

    Raises:
        SettingsError: names the setting, its value, what is wrong and what to do.
    """
    roles = set(roles)
    _check_port(settings)
    if roles & {"fingerprint", "decide"}:
        require_folder("worker.data_folder", settings.worker.data_folder)
    if "fingerprint" in roles:
        _check_temporary_folder()
        if settings.decode.spool_folder is not None:
            require_folder("decode.spool_folder", settings.decode.spool_folder)
        _check_network("encoder", settings.encoder.path, _provider_of_encoder(settings))
        _check_network("key_frames", settings.key_frames.path, settings.key_frames.provider)
        _check_network("text_video", settings.text_video.path, settings.text_video.provider)
    if "library" in roles:
        require_folder("library.snapshot_folder", settings.library.snapshot_folder)
        _check_network("library", None, settings.library.provider)
        if settings.library.device == "cuda":
            # In here, as it loads Faiss, which the other roles do without.
            from stream.index.gpu import require_gpu

            require_gpu()


def require_folder(key: str, folder: Path) -> None:
    """Make a folder if it isn't there, and try to write into it.

    Raises:
        SettingsError: it can't be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Tried rather than asked: on network file systems permissions don't say it all.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SettingsError(
            f"{key} = {folder}: no file can be written there ({error.strerror}): give this user "
            f"the right to, or name another folder ({variable_of(key)})"
        ) from error


def _check_temporary_folder() -> None:
    """Python passes over a `TMPDIR` that can't be used, in silence."""
    if named := os.environ.get("TMPDIR"):
        try:
            with tempfile.TemporaryFile(dir=named):
                pass
        except OSError as error:
            raise SettingsError(
                f"TMPDIR = {named}: no file can be written there ({error.strerror}), and downloads "
                "and decoded frames need it: name a folder that this user can write to"
            ) from error


def _check_network(section: str, path: Path | None, provider: Provider) -> None:
    if path is not None and not path.exists():
        key = f"{section}.path"
        raise SettingsError(
            f"{key} = {path}: nothing is there: name the file or folder of an exported network, or "
            f"leave it out for the shipped one ({variable_of(key)})"
        )
    try:
        require_provider(provider)
    except ModelError as error:
        raise SettingsError(f"{section}.provider = {provider!r}: {error}") from error


def _provider_of_encoder(settings: Settings) -> Provider:
    outside = settings.encoder.outside
    # Torch runs such a file, and ONNX Runtime's providers mean nothing to it.
    return "cpu" if outside and outside.format == "torchscript" else settings.encoder.provider


def _check_port(settings: Settings) -> None:
    host, port = settings.worker.metrics_host, settings.worker.metrics_port
    if not port:
        return
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as tried:
            # As the server does: a port that a stopped worker has just left isn't taken.
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
            tried.listen(1)
    except OSError as error:
        raise SettingsError(
            f"worker.metrics_port = {port}: can't listen on {host}:{port} ({error.strerror}): "
            "each process needs a port of its own (SAMESOURCE_WORKER__METRICS_PORT), and "
            "worker.metrics_host must be an address of this machine"
        ) from error
