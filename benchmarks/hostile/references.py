"""Files that name others and hosts, which nobody may open; serves `benchmarks.mutated_videos`."""

import ctypes
import os
import select
import socket
import struct
from pathlib import Path
from typing import Self

STILL_OPEN, ACCESS = 0x20, 0x1  # IN_OPEN, IN_ACCESS


def reference_files(secret: Path, port: int) -> dict[str, bytes]:
    """Files of other formats that name the secret file, or the port of a host."""
    host = f"http://127.0.0.1:{port}/x.ts"
    names: dict[str, bytes] = {}
    for place, target in enumerate((secret.as_uri(), secret.as_posix(), host)):
        plain = target.encode()
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{target}\n#EXT-X-ENDLIST\n"
        names[f"list{place}.m3u8"] = playlist.encode()
        names[f"list{place}.mp4"] = playlist.encode()
        names[f"concat{place}.txt"] = b"ffconcat version 1.0\nfile '" + plain + b"'\n"
        names[f"concat{place}.mp4"] = names[f"concat{place}.txt"]
        names[f"a{place}.sdp"] = (
            b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
            b"m=video %d RTP/AVP 96\na=rtpmap:96 H264/90000\n" % port
        )
        names[f"a{place}.mpd"] = (
            b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            b'mediaPresentationDuration="PT4S"><Period><AdaptationSet mimeType="video/mp4">'
            b'<Representation id="1" bandwidth="1"><BaseURL>' + plain + b"</BaseURL>"
            b"</Representation></AdaptationSet></Period></MPD>"
        )
        names[f"a{place}.svg"] = (
            b'<svg xmlns="http://www.w3.org/2000/svg"><image href="' + plain + b'"/></svg>'
        )
        names[f"ref{place}.mov"] = _reference_movie(plain)
        names[f"a{place}.asx"] = (
            b'<asx version="3.0"><entry><ref href="' + plain + b'"/></entry></asx>'
        )
        names[f"a{place}.strm"] = plain
    return names


def _reference_movie(target: bytes) -> bytes:
    def box(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", 8 + len(body)) + kind + body

    location = box(
        b"rdrf", bytes(4) + b"url " + struct.pack(">I", len(target) + 1) + target + b"\0"
    )
    return box(b"ftyp", b"qt  " + bytes(4) + b"qt  ") + box(
        b"moov", box(b"rmra", box(b"rmda", location))
    )


def external_tracks(movie: bytes, target: bytes) -> bytes:
    """A movie whose track says that its pictures are in another file."""
    old = b"\x00\x00\x00\x0curl \x00\x00\x00\x01"
    new = struct.pack(">I", 12 + len(target) + 1) + b"url " + bytes(4) + target + b"\0"
    at = movie.find(old)
    return movie if at < 0 else movie[:at] + new + movie[at + len(old) :]


class Watch:
    """Sees from outside whether a file is opened or a port is called, until it is closed."""

    def __init__(self, secret: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._notify = self._libc.inotify_init1(os.O_NONBLOCK)
        self._libc.inotify_add_watch(
            self._notify, os.fsencode(secret), ctypes.c_uint32(STILL_OPEN | ACCESS)
        )
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._notify)
        self._listener.close()

    def touched(self) -> list[str]:
        """What was opened or called since the last look."""
        found = []
        if select.select([self._notify], [], [], 0)[0]:
            os.read(self._notify, 65536)
            found.append("file")
        if select.select([self._listener], [], [], 0)[0]:
            self._listener.accept()[0].close()
            found.append("host")
        return found
