"""A form with a file, read as it comes: neither memory nor disk hold it here.

Serves the gate, which looks at the fields before the file, and the routes that take one. FastAPI's
own forms would have the whole file on this machine's disk before anybody looks at the token.
"""

from collections.abc import AsyncIterator
from typing import Any, cast

from aiohttp import BodyPartReader, MultipartReader
from aiohttp.http_exceptions import HttpProcessingError
from starlette.datastructures import Headers
from starlette.types import Receive

from stream.console.web.problems import Problem
from stream.texts import Text

FILE = "file"  # the name of the field
MAX_FIELDS_BYTES = 2**20  # of all that isn't the file; as of any other form
MAX_LINE_BYTES = 2**14  # of a boundary or a part's header
CHUNK_BYTES = 2**16


def has_file_form(headers: Headers) -> bool:
    """Whether the body is such a form."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == (
        "multipart/form-data"
    )


class FileForm:
    """Fields, then a file, then perhaps more fields.

    Attributes:
        fields: that were read so far, as `Fields` takes them.
    """

    def __init__(self, headers: Headers, receive: Receive, max_bytes: int) -> None:
        """Nothing is read yet.

        Args:
            headers: of the request.
            receive: its body.
            max_bytes: of the file.
        """
        self.fields: dict[str, list[str]] = {}
        self._headers, self._body = headers, _Body(receive)
        self._max_bytes = max_bytes
        self._file: BodyPartReader | None = None
        self._reader: MultipartReader | None = None

    async def to_file(self) -> None:
        """Read the fields before the file.

        Raises:
            Problem: 400 where it can't be read, 413 where it is too long.
        """
        said = self._headers.get("content-length", "")
        # It may lie: what comes is counted too.
        if said.isdecimal() and int(said) > self._max_bytes + MAX_FIELDS_BYTES:
            raise _too_long(self._max_bytes)
        try:
            # Its type says less: it reads from whatever has four methods of a stream.
            self._reader = MultipartReader(self._headers, cast(Any, self._body))
            await self._read_fields()
        except (ValueError, RuntimeError, HttpProcessingError) as error:
            raise _unreadable() from error

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes of the file, none where there is none; then the fields behind it are read.

        Raises:
            Problem: 400 where it ends too soon or can't be read, 413 where it is too long.
        """
        if self._file is None:
            return
        length = 0
        try:
            while not self._file.at_eof():
                self._body.left = MAX_FIELDS_BYTES
                chunk = await self._file.read_chunk(CHUNK_BYTES)
                length += len(chunk)
                if length > self._max_bytes:
                    raise _too_long(self._max_bytes)
                if chunk:
                    yield chunk
            self._file = None
            await self._read_fields()
        except (ValueError, RuntimeError, HttpProcessingError) as error:
            raise _unreadable() from error
        if self._file is not None:
            raise Problem(422, "the form has two files: ask about one after the other")

    async def _read_fields(self) -> None:
        assert self._reader is not None
        while (part := await self._reader.next()) is not None:
            if not isinstance(part, BodyPartReader):
                raise ValueError("a part is a form of its own")
            if part.name == FILE:
                self._file = part
                return
            value = bytearray()
            while not part.at_eof():
                value += await part.read_chunk(CHUNK_BYTES)
            self.fields.setdefault(part.name or "", []).append(value.decode())


class _Body:
    """A request's body, as aiohttp's reader of forms asks for it.

    Attributes:
        left: bytes that may come yet.
    """

    def __init__(self, receive: Receive) -> None:
        self.left = MAX_FIELDS_BYTES
        self._receive, self._held, self._is_over = receive, b"", False

    async def read(self, size: int) -> bytes:
        """Some bytes, none at the end."""
        if not self._held:
            await self._more()
        found, self._held = self._held[:size], self._held[size:]
        return found

    async def readline(self, *, max_line_length: int = MAX_LINE_BYTES) -> bytes:
        """A line with its end."""
        while b"\n" not in self._held and not self._is_over:
            if len(self._held) > max_line_length:
                break
            await self._more()
        line, end, _ = self._held.partition(b"\n")
        if len(line) > max_line_length:
            raise ValueError("a line is too long")
        self._held = self._held[len(line) + len(end) :]
        return line + end

    def unread_data(self, data: bytes) -> None:
        """Give bytes back."""
        self._held = data + self._held

    def at_eof(self) -> bool:
        """Whether nothing more comes."""
        return self._is_over and not self._held

    async def _more(self) -> None:
        if self._is_over:
            return
        message = await self._receive()
        if message["type"] != "http.request":
            raise ValueError("the client is gone")  # nobody will read the answer
        self._is_over = not message.get("more_body", False)
        came = message.get("body", b"")
        self.left -= len(came)
        self._held += came
        if self.left < 0:
            raise Problem(
                413,
                Text("the form's fields have more than {most} bytes", most=MAX_FIELDS_BYTES),
            )


def _unreadable() -> Problem:
    return Problem(400, "the form can't be read: it is broken, or ended too soon")


def _too_long(max_bytes: int) -> Problem:
    return Problem(
        413, Text("the file has more than fetch.max_bytes = {most} bytes", most=max_bytes)
    )
