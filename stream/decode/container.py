"""Opens a video file, and tells what its container says of the video; nothing is decoded.

Serves `stream.decode.packets`, which reads on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.format import Flags
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

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
USUAL_RATE = 25  # frames a second, where the file doesn't say
MAX_PIXEL_ASPECT_RATIO = 8.0  # beyond it, or its inverse, the file is wrong: taken for square


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


def jumps(container: InputContainer) -> bool:
    """Whether times of this container may start anew: a broadcast is cut and joined as it is."""
    return Flags.ts_discont in Flags(container.format.flags)


def frame_seconds(stream: VideoStream) -> float:
    """How long a frame is shown where nothing else says it."""
    rate = float(stream.average_rate or stream.guessed_rate or USUAL_RATE)
    return 1 / rate if rate > 0 else 1 / USUAL_RATE


def pixel_aspect_ratio(stream: VideoStream) -> float:
    """Width by height of a coded pixel; 1 where the file doesn't say, or says nonsense."""
    stated = float(stream.sample_aspect_ratio or 1)
    return stated if 1 / MAX_PIXEL_ASPECT_RATIO <= stated <= MAX_PIXEL_ASPECT_RATIO else 1.0


def stated_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """How long the container says that the video is, where it does and can be believed."""
    if jumps(container):
        return None
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:
        return container.duration / av.time_base
    return None
