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
from av.format import Flags
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from stream.decode.sampling import PacketTable
from stream.decode.settings import DecodeSettings
from stream.errors import CorruptError, NoVideoError, TooLargeError, UnsupportedError

# Self-contained formats only: playlists and scripts (hls, concat, sdp, …) would name other files.
FORMATS = (
    "3gp,aac,ac3,aiff,amr,apng,asf,av1,avi,bmp_pipe,caf,dv,eac3,flac,flv,gif,gif_pipe,h261,h263,"
    "h264,hevc,image2,ivf,jpeg_pipe,jpegxl_pipe,m4v,matroska,mj2,mjpeg,mov,mp3,mp4,mpeg,mpegts,mpegvideo,"
    "mxf,nut,obu,ogg,png_pipe,qt,rm,swf,tiff_pipe,vc1,vvc,wav,webm,webp_pipe,wtv,wv,yuv4mpegpipe"
)
OPTIONS = {
    "format_whitelist": FORMATS,
    "protocol_whitelist": "file",
    "pattern_type": "none",  # a % in the name of a picture is no pattern
    "fflags": "+genpts",
}
# Packets of a file, after which the rest is given up; set by hand.
MANY_BROKEN = 1000  # packets of a file, after which the rest is given up
USUAL_RATE = 25  # frames a second, where the file doesn't say
MAX_PIXEL_ASPECT_RATIO = 8.0  # beyond it, or its inverse, the file is wrong: taken for square
JUMP_SECONDS = 10.0  # forward or back; a time that goes back by less is a jump from there on:
BACK_SECONDS = 0.1
MIN_LEAD_SECONDS = 0.1  # less is the delay of an encoder


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
                # The demuxer then drops the packets of sound and subtitles before Python sees them.
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
        return av.open(path.as_posix(), mode="r", options=OPTIONS, metadata_errors="replace")
    except (av.error.ArgumentError, av.error.PatchWelcomeError) as error:
        raise UnsupportedError(f"a file format that is not handled: {error.strerror}") from error
    except MemoryError:
        raise
    except av.error.FFmpegError as error:
        raise CorruptError(f"not a readable video file: {error.strerror}") from error


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
        raise UnsupportedError(f"no decoder for the video codec of stream {stream.index}")
    return stream


def readable_packets(
    container: InputContainer, stream: VideoStream
) -> "Iterator[Packet[VideoStream] | None]":
    """The stream's packets in order of decoding, None for each that can't be read.

    Where the container's clock may jump, the jumps are taken out. The same file gives the same
    sequence again.

    Raises:
        UnsupportedError: the packets are encrypted.
    """
    broken = 0
    packets = container.demux(stream)
    clock = _JumpingClock(stream) if jumps(container) else None
    while broken < MANY_BROKEN:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError:
            # A demuxer's generator ends with its error: a new one goes on behind the broken packet.
            broken += 1
            packets = container.demux(stream)
            yield None
            continue
        if packet.size:
            if packet.has_sidedata("encryption_info"):
                raise UnsupportedError("the video is encrypted")
            if clock is not None:
                clock.set(packet)
            yield packet


def jumps(container: InputContainer) -> bool:
    """Whether times of this container may start anew: a broadcast is cut and joined as it is."""
    return Flags.ts_discont in Flags(container.format.flags)


class _JumpingClock:
    """Gives the packets of a stream times without jumps: players play on as if there were none.

    A time jumps where the order of decoding goes back, or is far from where the packet before it
    ends. Source: `dts_delta_threshold` of the ffmpeg command.
    """

    def __init__(self, stream: VideoStream) -> None:
        unit = float(stream.time_base or 1)
        self._jump, self._back = JUMP_SECONDS / unit, BACK_SECONDS / unit
        self._frame = round(frame_seconds(stream) / unit)
        self._offset = 0
        self._last: int | None = None
        self._next = 0
        self._delay = 0

    def set(self, packet: "Packet[VideoStream]") -> None:
        """Move a packet to where it is played."""
        read = packet.pts if packet.dts is None else packet.dts
        if read is None:
            return
        time = read + self._offset
        if self._last is not None:
            far = abs(time - self._next) > self._jump
            if far or (packet.dts is not None and time < self._last - self._back):
                self._offset += self._next - time
                time = self._next
        self._last, self._next = time, time + (packet.duration or self._frame)
        if packet.pts is not None and packet.dts is not None:
            if abs(packet.pts - packet.dts) > self._jump:  # guessed by the clock behind the jump
                packet.pts = packet.dts + self._delay
            self._delay = packet.pts - packet.dts
        if self._offset:
            if packet.pts is not None:
                packet.pts += self._offset
            if packet.dts is not None:
                packet.dts += self._offset


def read_table(path: Path, settings: DecodeSettings) -> PacketTable:
    """Read all packets of the video stream.

    Raises:
        RejectedError: as `open_video`; also without a single packet, and as `check_duration`.
    """
    with open_video(path, settings) as (container, stream):
        packets = _Packets()
        for packet in readable_packets(container, stream):
            packets.add(packet)
        table = packets.table(container, stream)
    if table.complete:
        check_duration(table.duration_seconds, table.stated_seconds, settings)
        check_duration(table.lead_seconds + table.duration_seconds, None, settings)
    return table


def frame_seconds(stream: VideoStream) -> float:
    """How long a frame is shown where nothing else says it."""
    rate = float(stream.average_rate or stream.guessed_rate or USUAL_RATE)
    return 1 / rate if rate > 0 else 1 / USUAL_RATE


class _Packets:
    """Columns of packets, compact: a ten-hour video has two million."""

    def __init__(self) -> None:
        self._pts, self._dts, self._durations = array("q"), array("q"), array("q")
        self._key, self._hidden = bytearray(), bytearray()
        self._untimed = self._broken = 0

    def add(self, packet: "Packet[VideoStream] | None") -> None:
        if packet is None:
            self._broken += 1
            return
        if packet.pts is None:
            self._untimed += 1
        self._pts.append(packet.pts or 0)
        if packet.dts is not None:
            self._dts.append(packet.dts)
        self._durations.append(packet.duration or 0)
        self._key.append(packet.is_keyframe)
        self._hidden.append(packet.is_discard)

    def table(self, container: InputContainer, stream: VideoStream) -> PacketTable:
        if not self._pts:
            raise CorruptError("a video stream without any packet")
        unit = float(stream.time_base or 0)
        pts = np.array(self._pts, np.int64)
        hidden = np.array(self._hidden, np.uint8).astype(bool)
        # An edit list that hides everything is wrong: players show the video.
        shown = ~hidden if not hidden.all() else ~np.zeros_like(hidden)
        start = int(pts[shown].min())
        # In float64, where a damaged time is merely wrong.
        seconds = (pts.astype(np.float64) - start) * unit  # a lying file's may overflow as integers
        durations = np.array(self._durations, np.int64) * unit
        ends = seconds + np.where(durations > 0, durations, frame_seconds(stream))
        in_order = bool((np.diff(np.array(self._dts, np.int64)) >= 0).all())
        return PacketTable(
            pts=pts,
            seconds=seconds,
            key=np.array(self._key, np.uint8).astype(bool),
            shown=shown,
            duration_seconds=float(ends[shown].max()),
            stated_seconds=_stated_seconds(container, stream),
            lead_seconds=0.0 if self._untimed else _lead_seconds(container, start * unit),
            frame_seconds=frame_seconds(stream),
            complete=not self._untimed and in_order and len(np.unique(pts)) == len(pts),
            broken=self._broken,
            pixel_aspect_ratio=_pixel_aspect_ratio(stream),
        )


def _lead_seconds(container: InputContainer, start_seconds: float) -> float:
    """How long sound plays before the first picture is shown: players' clocks run by then."""
    starts = [
        float(sound.start_time * sound.time_base)
        for sound in container.streams.audio
        if sound.start_time is not None and sound.time_base
    ]
    lead = start_seconds - min(starts, default=start_seconds)
    if lead < MIN_LEAD_SECONDS or (jumps(container) and lead > JUMP_SECONDS):
        return 0.0
    return lead


def _pixel_aspect_ratio(stream: VideoStream) -> float:
    """Width by height of a coded pixel; 1 where the file doesn't say, or says nonsense."""
    stated = float(stream.sample_aspect_ratio or 1)
    return stated if 1 / MAX_PIXEL_ASPECT_RATIO <= stated <= MAX_PIXEL_ASPECT_RATIO else 1.0


def _stated_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """How long the container says that the video is, where it does and can be believed."""
    if jumps(container):
        return None
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:
        return container.duration / av.time_base
    return None


def check_duration(seconds: float, stated: float | None, settings: DecodeSettings) -> None:
    """Refuse a video that is too long, or of which too little is there.

    Args:
        seconds: what is there.
        stated: what the container says, if it does.
        settings: the limits.

    Raises:
        TooLargeError: over `max_duration_seconds`.
        CorruptError: less than `min_readable_share` of the stated duration.
    """
    if seconds > settings.max_duration_seconds:
        raise TooLargeError(
            f"the video lasts {seconds:.0f} s or more, over "
            f"decode.max_duration_seconds = {settings.max_duration_seconds:.0f}"
        )
    if stated and seconds < settings.min_readable_share * stated:
        raise CorruptError(
            f"truncated: only {seconds:.1f} s of the stated {stated:.1f} s are there, less than "
            f"decode.min_readable_share = {settings.min_readable_share}"
        )
