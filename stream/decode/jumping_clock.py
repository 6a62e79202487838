"""The clock of a stream that starts anew now and then; serves `stream.decode.packets`."""

from av.packet import Packet
from av.video.stream import VideoStream

from stream.decode.container import frame_seconds

JUMP_SECONDS = 10.0  # forward or back; a time that goes back by less is a jump from there on:
BACK_SECONDS = 0.1


class JumpingClock:
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
        # By order of decoding, in which times ascend: those of display go back and forth.
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
