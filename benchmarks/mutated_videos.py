"""What damaged and hostile videos do to the service's decoder.

    python -m benchmarks.mutated_videos [--videos 10000] [--seed 1] [--threads 4] [--json FILE]

Makes small videos of many kinds and damages copies of them at random: flipped bits, cuts, ranges
that are missing, doubled or of another file, numbers that lie, playlists and reference movies that
name a file and a host. Each goes through the fingerprint step, as an upload would. Ends with 1
unless each is processed or rejected for what it is (never `internal`), this process takes no more
than a tenth more memory at the end than after the first tenth of them, and nobody has opened the
file or the port that they name.
"""

import ctypes
import gc
import json
import os
import select
import socket
import struct
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from random import Random
from threading import Lock
from typing import Annotated, Any

import av
import av.logging
import numpy as np
import psutil
import typer
from av.video.frame import VideoFrame
from PIL import Image
from rich.console import Console
from rich.table import Table

from models.runtime.heap import give_free_pages_back
from stream.contract.events import VideoUploaded
from stream.errors import RejectedError
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.settings import Settings

FRAMES, RATE, SIDE = 24, 8, 96
KINDS: dict[str, tuple[str, str, dict[str, str], dict[str, str]]] = {
    "h264.mp4": ("libx264", "yuv420p", {"preset": "ultrafast"}, {}),
    "fragmented.mp4": (
        "libx264",
        "yuv420p",
        {"preset": "ultrafast"},
        {"movflags": "frag_keyframe+empty_moov"},
    ),
    "hevc.mp4": ("libx265", "yuv420p", {"preset": "ultrafast", "x265-params": "log-level=0"}, {}),
    "h264.mkv": ("libx264", "yuv420p", {"preset": "ultrafast"}, {}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"deadline": "realtime", "cpu-used": "8"}, {}),
    "vp8.webm": ("libvpx", "yuv420p", {"deadline": "realtime"}, {}),
    "av1.mkv": ("libsvtav1", "yuv420p", {"preset": "12"}, {}),
    "h264.ts": ("libx264", "yuv420p", {"preset": "ultrafast"}, {}),
    "mpeg2.mpg": ("mpeg2video", "yuv420p", {}, {}),
    "mpeg4.avi": ("mpeg4", "yuv420p", {}, {}),
    "mjpeg.mov": ("mjpeg", "yuvj420p", {}, {}),
    "prores.mov": ("prores_ks", "yuv422p10le", {}, {}),
    "h264.flv": ("libx264", "yuv420p", {"preset": "ultrafast"}, {}),
    "wmv.asf": ("wmv2", "yuv420p", {}, {}),
    "a.gif": ("gif", "rgb8", {}, {}),
    "a.apng": ("apng", "rgb24", {}, {}),
    "a.y4m": ("wrapped_avframe", "yuv420p", {}, {}),
    "raw.h264": ("libx264", "yuv420p", {"preset": "ultrafast"}, {}),
}
# In place of a size or a count: ends of signed and unsigned numbers, where sums overflow.
LIES = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF)
STILL_OPEN, ACCESS = 0x20, 0x1  # IN_OPEN, IN_ACCESS

Mutation = Callable[[bytearray, Random, list[bytes]], bytearray]


def drawn(index: int) -> VideoFrame:
    """A frame of moving noise, so that nothing is blank and nothing repeats."""
    noise = np.random.default_rng(index // 8).integers(0, 255, (12, 12, 3), np.uint8)
    rgb = np.roll(noise.repeat(SIDE // 12, axis=0).repeat(SIDE // 12, axis=1), 3 * index, axis=1)
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    frame.pts, frame.time_base = index, Fraction(1, RATE)
    return frame


def made_videos(folder: Path) -> dict[str, bytes]:
    """One whole video of each kind."""
    made = {}
    for name, (codec, pixel_format, options, movflags) in KINDS.items():
        path = folder / name
        with av.open(path.as_posix(), "w", options=movflags) as container:
            stream: Any = container.add_stream(codec, rate=RATE, options=options)
            stream.width = stream.height = SIDE
            stream.pix_fmt, stream.gop_size = pixel_format, RATE
            for index in range(FRAMES):
                frame = drawn(index).reformat(format=pixel_format)
                frame.pts, frame.time_base = index, Fraction(1, RATE)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        made[name] = path.read_bytes()
    pictures = [Image.fromarray(drawn(index).to_ndarray()) for index in range(FRAMES)]
    path = folder / "a.webp"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=1000 // RATE)
    made["a.webp"] = path.read_bytes()
    return made


def _flipped(data: bytearray, random: Random, others: list[bytes]) -> bytearray:
    end = random.choice((64, 1024, len(data)))
    for _ in range(random.choice((1, 4, 32, 256))):
        data[random.randrange(min(end, len(data)))] ^= 1 << random.randrange(8)
    return data


def _overwritten(data: bytearray, random: Random, others: list[bytes]) -> bytearray:
    start = random.randrange(len(data))
    length = min(random.choice((4, 64, 1024, 16384)), len(data) - start)
    fill = random.choice((bytes(length), b"\xff" * length, random.randbytes(length)))
    data[start : start + length] = fill
    return data


def _lying(data: bytearray, random: Random, others: list[bytes]) -> bytearray:
    end = random.choice((64, 1024, len(data)))
    for _ in range(random.choice((1, 2, 8))):
        at = random.randrange(max(1, min(end, len(data)) - 4))
        number = random.choice((*LIES, random.getrandbits(32)))
        data[at : at + 4] = struct.pack(random.choice(("<I", ">I")), number)
    return data


def _box_lying(data: bytearray, random: Random, others: list[bytes]) -> bytearray:
    """A number in a box of MP4, where times, sizes and counts lie."""
    names = (
        b"tkhd",
        b"mvhd",
        b"mdhd",
        b"stts",
        b"stsz",
        b"stco",
        b"stsc",
        b"ctts",
        b"elst",
        b"trun",
    )
    found = [name for name in names if name in data]
    if not found:
        return _lying(data, random, others)
    at = data.index(random.choice(found)) + 4 + 4 * random.randrange(8)
    data[at : at + 4] = struct.pack(">I", random.choice((*LIES, random.getrandbits(32))))
    return data


def _cut_short(data: bytearray, random: Random, others: list[bytes]) -> bytearray:
    at = random.randrange(len(data))
    return data[:at] if random.random() < 0.7 else data[at:]


def _without_range(data: bytearray, random: Random, others: list[bytes]) -> bytearray:
    start = random.randrange(len(data))
    del data[start : start + random.choice((1, 16, 512, 8192))]
    return data


def _doubled(data: bytearray, random: Random, others: list[bytes]) -> bytearray:
    start = random.randrange(len(data))
    part = data[start : start + random.choice((16, 512, 8192))]
    data[start:start] = part * random.choice((1, 3, 50))
    return data


def _spliced(data: bytearray, random: Random, others: list[bytes]) -> bytearray:
    other, at = random.choice(others), random.randrange(len(data))
    start = random.randrange(len(other))
    return data[:at] + other[start : start + random.choice((64, 2048, len(other)))] + data[at:]


def _badly_named(data: bytearray, random: Random, others: list[bytes]) -> bytearray:
    """Text in a header that is no text in any encoding."""
    for word in (b"isom", b"Lavf", b"Lavc", b"VideoHandler", b"und", b"matroska", b"ENCODER"):
        at = data.find(word)
        if at >= 0:
            data[at : at + len(word)] = random.randbytes(len(word))
    return data


MUTATIONS: list[Mutation] = [
    _flipped,
    _overwritten,
    _lying,
    _box_lying,
    _cut_short,
    _without_range,
    _doubled,
    _spliced,
    _badly_named,
]


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


def inputs(
    whole: dict[str, bytes], references: dict[str, bytes], random: Random, count: int
) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the damaged files."""
    names, others = list(whole), list(whole.values())
    reference_names = list(references)
    for number in range(count):
        if random.random() < 0.05:
            name = random.choice(reference_names)
            yield f"{number}-{name}", references[name]
            continue
        name = random.choice(names)
        data = bytearray(whole[name])
        how = []
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            mutation = random.choice(MUTATIONS)
            how.append(mutation.__name__.strip("_"))
            if data:
                data = mutation(data, random, others)
        shown = name if random.random() < 0.9 else random.choice(("a.bin", "a%03d.jpg", "a.mp4"))
        yield f"{number}-{'+'.join(how)}-{name}-{shown}", bytes(data)


class Watch:
    """Sees from outside whether a file is opened or a port is called."""

    def __init__(self, secret: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._notify = self._libc.inotify_init1(os.O_NONBLOCK)
        self._libc.inotify_add_watch(
            self._notify, os.fsencode(secret), ctypes.c_uint32(STILL_OPEN | ACCESS)
        )
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

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


def resident_mib() -> float:
    """Of this process, without garbage and free pages, which a worker gives back too."""
    gc.collect()
    give_free_pages_back()
    return float(psutil.Process().memory_info().rss / 2**20)


def main(
    videos: Annotated[int, typer.Option(help="Damaged videos in all.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the damage.")] = 1,
    threads: Annotated[int, typer.Option(help="Uploads at a time.")] = 4,
    embed: Annotated[bool, typer.Option(help="Make vectors for search too.")] = True,
    keep: Annotated[Path | None, typer.Option(help="Folder for files that are `internal`.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write figures here.")] = None,
) -> None:
    """Send damaged videos through the fingerprint step."""
    av.logging.set_level(None)
    with tempfile.TemporaryDirectory(prefix="samesource-mutated-") as name:
        figures = _run(Path(name), videos, seed, threads, embed, keep)
    table = Table("outcome", "videos", title=f"{videos} damaged videos, seed {seed}")
    for code, count in figures["outcomes"].items():
        table.add_row(code, str(count))
    console = Console()
    console.print(table)
    console.print({key: value for key, value in figures.items() if key != "outcomes"})
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n")
    _, first, *_, last = figures["resident_mib"]
    grown = last > 1.1 * first
    if figures["internal"] or figures["touched"] or grown:
        raise typer.Exit(1)


def _run(
    folder: Path, videos: int, seed: int, threads: int, embed: bool, keep: Path | None
) -> dict[str, Any]:
    (folder / "elsewhere").mkdir()
    whole = made_videos(folder / "elsewhere")
    secret = folder / "elsewhere" / "secret.ts"
    secret.write_bytes(whole["h264.ts"])
    watch = Watch(secret)
    references = reference_files(secret, watch.port)
    for place, target in enumerate((secret.as_uri(), f"http://127.0.0.1:{watch.port}/x.mp4")):
        for movie in ("h264.mp4", "mjpeg.mov"):
            moved = external_tracks(whole[movie], target.encode())
            references[f"outside{place}-{movie}"] = moved
    settings = Settings()
    settings = settings.model_copy(
        update={
            "fetch": settings.fetch.model_copy(update={"roots": [folder]}),
            "decode": settings.decode.model_copy(update={"timeout_seconds": 60.0}),
        }
    )
    outcomes: Counter[str] = Counter()
    internal: list[str] = []
    memory: list[float] = []
    began = time.monotonic()
    with Fingerprinter(settings, embed=embed) as fingerprinter:
        memory.append(resident_mib())
        made, making = inputs(whole, references, Random(seed), videos), Lock()

        def one(_: int) -> None:
            with making:  # one at a time, as what waits here would count as the service's memory
                label, data = next(made)
            path = folder / label
            path.write_bytes(data)
            upload = VideoUploaded(video_id=label, uri=path.as_uri(), owner_id="o")
            try:
                fingerprinter.fingerprint(upload, label)
                outcomes["processed"] += 1
            except RejectedError as error:
                outcomes[error.code] += 1
                if error.code == "internal":
                    internal.append(
                        f"{label}: {error}: {getattr(error.__cause__, 'traceback', '')}"
                    )
            except Exception as error:
                outcomes["internal"] += 1
                internal.append(f"{label}: {type(error).__name__}: {error}")
            if keep is not None and internal and internal[-1].startswith(label):
                (keep / label).write_bytes(data)
            path.unlink()

        with ThreadPoolExecutor(threads) as pool:
            for part in range(10):
                list(pool.map(one, range(videos * part // 10, videos * (part + 1) // 10)))
                memory.append(resident_mib())
                print(f"{part + 1}/10", dict(outcomes), round(memory[-1]), "MiB", flush=True)
    return {
        "outcomes": dict(outcomes.most_common()),
        "internal": internal[:50],
        "touched": watch.touched(),
        "resident_mib": [round(size, 1) for size in memory],
        "seconds": time.monotonic() - began,
    }


if __name__ == "__main__":
    typer.run(main)
