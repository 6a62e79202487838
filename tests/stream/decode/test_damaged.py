"""Damaged and hostile files are rejected for what they are, and touch no other file or host."""

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from random import Random

import av
import av.logging
import pytest
from PIL import Image

from benchmarks.hostile.damages import MUTATIONS
from benchmarks.hostile.references import Watch, external_tracks, reference_files
from stream.decode.child import decode_video
from stream.decode.decoder import Decoder
from stream.decode.settings import DecodeSettings
from stream.errors import CorruptError, RejectedError, TooLargeError, UnsupportedError
from tests.stream.videos import make_video, numbered, numbers_of

SIZE = 96
SETTINGS = DecodeSettings(processes=1, frames_per_second=1, repeat_gap_seconds=0)
av.logging.set_level(None)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(SETTINGS, SIZE) as decoder:
        yield decoder


def test_text_that_is_none_in_the_metadata_does_no_harm(decoder: Decoder, tmp_path: Path) -> None:
    path = tmp_path / "named.mkv"
    plain = make_video(tmp_path / "plain.mkv")
    data = plain.read_bytes()
    assert b"Lavf" in data
    path.write_bytes(data.replace(b"Lavf", b"\xff\xfe\xfd\xfc"))
    with decoder.decode(path) as video:
        assert numbers_of(video.frames) == [0, 25, 50, 75]


def test_a_codec_that_nothing_decodes_is_unsupported(decoder: Decoder, tmp_path: Path) -> None:
    path = make_video(tmp_path / "plain.mkv")
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/ABC"))
    with pytest.raises(UnsupportedError, match="no decoder"):
        decoder.decode(path)


def test_a_header_that_claims_giant_frames_is_too_large_or_corrupt(
    decoder: Decoder, tmp_path: Path
) -> None:
    path = tmp_path / "giant.y4m"
    path.write_bytes(b"YUV4MPEG2 W100000 H100000 F25:1 Ip C420jpeg\nFRAME\n" + bytes(1000))
    with pytest.raises((TooLargeError, CorruptError)):
        decoder.decode(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.webp"])
def test_nothing_random_is_internal(tmp_path: Path, name: str) -> None:
    """In this process, so that an error shows where it was raised."""
    if name == "a.webp":
        whole = _animation(tmp_path / name).read_bytes()
    else:
        codec = "mpeg4" if name == "a.avi" else "libx264"
        whole = make_video(tmp_path / name, count=20, size=(96, 96), codec=codec).read_bytes()
    random = Random(name)
    path, spool = tmp_path / f"damaged-{name}", tmp_path / "spool"
    outcomes = set()
    for _ in range(60):
        path.write_bytes(random.choice(MUTATIONS)(bytearray(whole), random, [whole]))
        spool.write_bytes(b"")
        try:
            decode_video(path, spool, SIZE, SETTINGS)
            outcomes.add("decoded")
        except RejectedError as error:
            outcomes.add(error.code)
    assert "decoded" in outcomes
    assert outcomes <= {"decoded", "corrupt", "unsupported", "too_large", "no_video"}


def test_files_that_name_others_open_none(decoder: Decoder, tmp_path: Path) -> None:
    secret = make_video(tmp_path / "secret.ts", count=50)
    movie = make_video(
        tmp_path / "movie.mp4", count=50, draw=lambda i, w, h: numbered(i + 500, w, h)
    )
    with Watch(secret) as watch:
        files = reference_files(secret, watch.port)
        files["outside.mp4"] = external_tracks(movie.read_bytes(), secret.as_uri().encode())
        for name, data in files.items():
            path = tmp_path / name
            path.write_bytes(data)
            try:
                with decoder.decode(path) as video:
                    assert min(numbers_of(video.frames)) >= 500
            except RejectedError as error:
                assert error.code in {"corrupt", "unsupported", "no_video"}, name
            assert watch.touched() == [], name
        secret.read_bytes()
        socket.create_connection(("127.0.0.1", watch.port)).close()
        assert watch.touched() == ["file", "host"], "it sees what is opened"


def _animation(path: Path, count: int = 40, duration_ms: int = 125, lossless: bool = True) -> Path:
    pictures = [Image.fromarray(numbered(index, 320, 240)) for index in range(count)]
    first, rest = pictures[0], pictures[1:]
    first.save(path, save_all=True, append_images=rest, duration=duration_ms, lossless=lossless)
    return path


def test_an_animated_webp_is_a_video(decoder: Decoder, tmp_path: Path) -> None:
    with decoder.decode(_animation(tmp_path / "a.webp")) as video:
        assert numbers_of(video.frames) == [0, 8, 16, 24, 32]
        assert video.seconds.tolist() == [0, 1, 2, 3, 4]
        assert video.duration_seconds == pytest.approx(5)
        assert video.packets == 40


def test_an_animated_webp_with_pictures_that_are_too_short_plays_as_in_browsers(
    decoder: Decoder, tmp_path: Path
) -> None:
    with decoder.decode(_animation(tmp_path / "a.webp", duration_ms=1)) as video:
        assert video.duration_seconds == pytest.approx(4)


def test_an_animated_webp_that_is_cut_off_is_corrupt(decoder: Decoder, tmp_path: Path) -> None:
    path = _animation(tmp_path / "a.webp")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CorruptError):
        decoder.decode(path)


def test_a_webp_bomb_is_refused_by_its_header(decoder: Decoder, tmp_path: Path) -> None:
    path = _animation(tmp_path / "a.webp", count=2)
    data = bytearray(path.read_bytes())
    data[24:30] = b"\xff\x3f\x00\xff\x3f\x00"  # 16,384 x 16,384
    path.write_bytes(data)
    with pytest.raises(TooLargeError, match="16384x16384"):
        decoder.decode(path)


def test_a_still_webp_is_a_video_of_one_frame(decoder: Decoder, tmp_path: Path) -> None:
    path = tmp_path / "still.webp"
    Image.fromarray(numbered(9, 320, 240)).save(path)
    with decoder.decode(path) as video:
        assert numbers_of(video.frames) == [9]


def test_an_encrypted_video_is_unsupported(decoder: Decoder, tmp_path: Path) -> None:
    """Common encryption (ISO/IEC 23001-7), as the muxer writes it."""
    plain = make_video(tmp_path / "plain.mp4")
    path = tmp_path / "encrypted.mp4"
    options = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
        "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
    }
    with (
        av.open(plain.as_posix()) as reading,
        av.open(path.as_posix(), "w", options=options) as container,
    ):
        stream = container.add_stream_from_template(reading.streams.video[0])
        for packet in reading.demux(video=0):
            if packet.size:
                packet.stream = stream
                container.mux(packet)
    with pytest.raises(UnsupportedError, match="encrypted"):
        decoder.decode(path)


def test_a_lying_clock_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    """14 KB that claim years: no frame is written for them."""
    path = make_video(tmp_path / "bomb.mp4", count=100)
    data = bytearray(path.read_bytes())
    at = data.index(b"stts") + 12
    data[at + 4 : at + 8] = struct.pack(">I", 0x7FFFFFFF)
    path.write_bytes(data)
    spool = tmp_path / "spool"
    spool.touch()
    with pytest.raises(TooLargeError, match="max_duration_seconds"):
        decode_video(path, spool, SIZE, DecodeSettings())
    assert spool.stat().st_size <= SIZE * SIZE * 3


def test_a_file_name_may_hold_any_bytes(decoder: Decoder, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 %03d.mp4"))
    make_video(tmp_path / "plain.mp4").rename(path)
    with decoder.decode(path) as video:
        assert numbers_of(video.frames) == [0, 25, 50, 75]
