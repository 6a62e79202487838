"""Opens a video file and reads its packets, which is nearly free beside decoding them.

Everything that can be refused without decoding a frame is refused here.
"""

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from stream.decode.sampling import PacketTable
from stream.decode.settings import DecodeSettings
from stream.errors import CorruptError, NoVideoError, TooLargeError, UnsupportedError

# Self-contained formats only: playlists and scripts (hls, concat, sdp, …) would name other files.
FORMATS = (
    "3gp,aac,ac3,aiff,amr,apng,asf,av1,avi,bmp_pipe,caf,dv,eac3,flac,flv,gif,gif_pipe,h261,h263,"
    "h264,hevc,ivf,jpeg_pipe,jpegxl_pipe,m4v,matroska,mj2,mjpeg,mov,mp3,mp4,mpeg,mpegts,mpegvideo,"
    "mxf,nut,obu,ogg,png_pipe,qt,rm,swf,tiff_pipe,vc1,vvc,wav,webm,webp_pipe,wtv,wv,yuv4mpegpipe"
)
OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file", "fflags": "+genpts"}
MANY_BROKEN = 1000


@contextmanager
def open_video(
    path: Path, settings: DecodeSettings
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its best video stream, checked against the limits; nothing is decoded.

    Raises:
        CorruptError: not a readable video file.
        UnsupportedError: nothing here decodes its codec, or its format is not handled.
        NoVideoError: no video stream; a cover picture is none.
        TooLargeError: frames over `max_pixels`.
    """
    with _open(path) as container:
        stream = _video_stream(container)
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        codec = stream.codec_context
        check_pixels(codec.width, codec.height, settings)
        codec.thread_count = 1  # throughput per core counts, and packets are skipped one by one
        codec.options = {
            "max_pixels": str(settings.max_pixels),
            "skip_loop_filter": settings.skip_loop_filter,
        }
        yield container, stream


def check_pixels(width: int, height: int, settings: DecodeSettings) -> None:
    """Refuse frames over the limit.

    Raises:
        TooLargeError: names the size and the limit.
    """
    if width * height > settings.max_pixels:
        raise TooLargeError(
            f"frames of {width}x{height} have {width * height} pixels, more than "
            f"decode.max_pixels = {settings.max_pixels}"
        )


def _open(path: Path) -> InputContainer:
    if path.stat().st_size == 0:
        raise CorruptError("the file is empty (0 bytes)")
    try:
        return av.open(path.as_posix(), mode="r", options=OPTIONS)
    except av.error.InvalidDataError as error:
        raise CorruptError(f"not a readable video file: {error.strerror}") from error
    except (av.error.ArgumentError, av.error.PatchWelcomeError) as error:
        raise UnsupportedError(f"a file format that is not handled: {error.strerror}") from error


def _video_stream(container: InputContainer) -> VideoStream:
    cover = Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not streams:
        found = ", ".join(stream.type for stream in container.streams) or "nothing"
        covers = " (the video stream is a cover picture)" if container.streams.video else ""
        raise NoVideoError(f"no video stream: the file holds {found}{covers}")
    best = container.streams.best("video")
    stream = best if isinstance(best, VideoStream) and best in streams else streams[0]
    if getattr(stream, "codec_context", None) is None:
        raise UnsupportedError(f"no decoder for the video codec {stream.codec_tag!r}")
    return stream


def readable_packets(
    container: InputContainer, stream: VideoStream
) -> "Iterator[Packet[VideoStream] | None]":
    """The stream's packets in order of decoding, None for each that can't be read.

    The same file gives the same sequence again.
    """
    broken = 0
    packets = container.demux(stream)
    while broken < MANY_BROKEN:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError:
            broken += 1
            packets = container.demux(stream)
            yield None
            continue
        if packet.size:
            yield packet


def read_table(path: Path, settings: DecodeSettings) -> PacketTable:
    """Read all packets of the video stream.

    Raises:
        RejectedError: as `open_video`; also without a single packet, when the video is longer
            than `max_duration_seconds`, or when too little of the stated duration is there.
    """
    with open_video(path, settings) as (container, stream):
        pts, dts, durations = array("q"), array("q"), array("q")
        key, hidden = bytearray(), bytearray()
        untimed = broken = 0
        for packet in readable_packets(container, stream):
            if packet is None:
                broken += 1
                continue
            time = packet.pts if packet.pts is not None else packet.dts
            untimed += packet.pts is None
            pts.append(time if time is not None else len(pts))
            dts.append(packet.dts if packet.dts is not None else pts[-1])
            durations.append(packet.duration or 0)
            key.append(packet.is_keyframe)
            hidden.append(packet.is_discard)
        unit = float(stream.time_base or 0)
        stated = _stated_seconds(container, stream)
        rate = float(stream.average_rate or stream.guessed_rate or 25)
    if not pts:
        raise CorruptError("a video stream without any packet")
    times = np.array(pts, np.int64)
    shown = ~np.array(hidden, np.uint8).astype(bool)
    shown = shown if shown.any() else np.ones(len(times), bool)
    seconds = (times - times[shown].min()) * unit
    ends = seconds + np.where(np.array(durations) > 0, np.array(durations) * unit, 1 / rate)
    in_order = bool((np.diff(np.array(dts, np.int64)) >= 0).all())
    unique = len(np.unique(times)) == len(times)
    table = PacketTable(
        pts=times,
        seconds=seconds,
        key=np.array(key, np.uint8).astype(bool),
        shown=shown,
        duration_seconds=float(ends[shown].max()),
        complete=not untimed and in_order and unique,
        broken=broken,
    )
    _check_duration(table, stated, settings)
    return table


def _stated_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """How long the container says that the video is, where it does."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:
        return container.duration / av.time_base
    return None


def _check_duration(table: PacketTable, stated: float | None, settings: DecodeSettings) -> None:
    seconds = table.duration_seconds
    if seconds > settings.max_duration_seconds:
        raise TooLargeError(
            f"the video lasts {seconds:.0f} s, more than "
            f"decode.max_duration_seconds = {settings.max_duration_seconds:.0f}"
        )
    if stated and seconds < settings.min_readable_share * stated:
        raise CorruptError(
            f"truncated: only {seconds:.1f} s of the stated {stated:.1f} s are there, less than "
            f"decode.min_readable_share = {settings.min_readable_share}"
        )
