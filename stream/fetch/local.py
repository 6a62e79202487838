"""Videos on this machine's disks: used in place, inside the allowed folders only."""

import os
import stat
from pathlib import Path
from urllib.parse import unquote_to_bytes

from stream.errors import ForbiddenUriError, NotFoundError
from stream.fetch.copy import too_large
from stream.fetch.settings import FetchSettings


def local_video(uri: str, settings: FetchSettings) -> Path:
    """The file of a `file` URI or of an absolute path, symbolic links resolved.

    Raises:
        ForbiddenUriError: outside `roots`, another machine's, not a plain file, or unreadable.
        NotFoundError: no such file.
        TooLargeError: over `max_bytes`.
    """
    name = path_of(uri)
    named = shown(name)
    try:
        # Resolved before it is checked, or a link inside a root could lead out of it.
        path = name.resolve()
        check_root(path, settings)
        status = path.stat()
        # A plain file alone is opened to try it: opening a pipe would wait for a writer for ever.
        if stat.S_ISREG(status.st_mode):
            path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"no file at {named}") from error
    except PermissionError as error:
        raise ForbiddenUriError(
            f"{named} can't be read: give the worker's user the right to"
        ) from error
    # A loop of links may be a `RuntimeError`, a NUL in the name is a `ValueError`.
    except (OSError, RuntimeError, ValueError) as error:
        raise NotFoundError(f"no usable file at {named!r}: {shown(str(error))}") from error
    if stat.S_ISDIR(status.st_mode):
        raise NotFoundError(f"{named} is a folder: name a video file in it")
    if not stat.S_ISREG(status.st_mode):
        raise ForbiddenUriError(f"{named} is a pipe, socket or device: name a plain file")
    if status.st_size > settings.max_bytes:
        raise too_large(status.st_size, settings.max_bytes)
    return path


def path_of(uri: str) -> Path:
    """An absolute path as it stands, or a `file` URI with its percent signs decoded.

    Raises:
        ForbiddenUriError: another machine's, or not absolute.
    """
    if uri.startswith("/"):
        return Path(uri)
    rest = uri[len("file:") :]
    if rest.startswith("//"):
        # RFC 8089: no host and `localhost` mean this machine; any other's disks can't be read here.
        host, slash, rest = rest[2:].partition("/")
        rest = slash + rest
        if host.lower() not in ("", "localhost"):
            raise ForbiddenUriError(
                f"{uri!r} names a file of the host {host!r}: write file:///… with three slashes"
            )
    if not rest.startswith("/"):
        raise ForbiddenUriError(f"{uri!r} is not absolute: write file:///…")
    return Path(os.fsdecode(unquote_to_bytes(os.fsencode(rest))))  # a name need not be UTF-8


def shown(name: Path | str) -> str:
    r"""A name for a message: bytes that aren't UTF-8 as `\xff`, since no event can hold them."""
    return str(name).encode(errors="surrogateescape").decode(errors="backslashreplace")


def check_root(path: Path, settings: FetchSettings) -> None:
    """Refuse what lies outside `roots`.

    Args:
        path: symbolic links resolved.
        settings: the roots.

    Raises:
        ForbiddenUriError: names the path and the roots.
    """
    # Resolved as the path is: a root that is a link would hold nothing otherwise.
    roots = [root.resolve() for root in settings.roots] or [Path.cwd().resolve()]
    named = ", ".join(map(shown, roots))
    if not any(path.is_relative_to(root) for root in roots):
        raise ForbiddenUriError(
            f"{shown(path)} is outside the allowed folders {named}: add its folder to fetch.roots "
            "(SAMESOURCE_FETCH__ROOTS='[\"/folder\"]')"
        )
