"""Finding frames in a stream of bytes: <VT> message <FS><CR> (HL7 v2.5.1 appendix C, MLLP release 1)."""

from __future__ import annotations

from dataclasses import dataclass

START, END, RETURN = 0x0B, 0x1C, 0x0D
_SILENT = b"\r\n"


class FrameTooLarge(ValueError):
    """A frame grew beyond the limit before it ended; ``start`` is what had arrived."""

    def __init__(self, start: bytes) -> None:
        super().__init__(f"a frame exceeded its limit after {len(start)} bytes")
        self.start = start


def framed(message: bytes) -> bytes:
    """A message as it goes over the wire."""
    return b"\x0b" + message + b"\x1c\r"


@dataclass
class Frames:
    """Cuts what arrives into messages. ``strays`` collects bytes that stood outside any frame."""

    max_frame_bytes: int

    def __post_init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self.strays = 0
        self.stray_bytes = b""

    @property
    def inside(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._buffer)

    @property
    def partial(self) -> bytes:
        """What has arrived of the frame that has not ended."""
        return bytes(self._buffer[1:])

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that ``data`` completes, in order; FrameTooLarge when one grows beyond the limit."""
        buffer = self._buffer
        buffer += data
        complete: list[bytes] = []
        start = 0
        while True:
            if start >= len(buffer):
                break
            if buffer[start] != START:
                begin = buffer.find(START, start)
                stop = begin if begin >= 0 else len(buffer)
                stray = bytes(buffer[start:stop]).strip(_SILENT)
                if stray:
                    self.strays += len(stray)
                    self.stray_bytes = (self.stray_bytes + stray)[:256]
                start = stop
                self._searched = start
                continue
            end = buffer.find(END, max(start + 1, self._searched))
            if end < 0 or end + 1 == len(buffer):
                # An end byte that stands last may be followed by its return in the next read.
                size = len(buffer) - start
                if size > self.max_frame_bytes:
                    raise FrameTooLarge(bytes(buffer[start + 1 : start + 1 + self.max_frame_bytes]))
                del buffer[:start]
                self._searched = max(len(buffer) - 1, 1)
                return complete
            if end - start > self.max_frame_bytes:
                raise FrameTooLarge(bytes(buffer[start + 1 : start + 1 + self.max_frame_bytes]))
            complete.append(bytes(buffer[start + 1 : end]))
            # Some senders forget the return; the next byte then belongs to the next frame.
            start = end + 2 if buffer[end + 1] == RETURN else end + 1
            self._searched = start
        buffer.clear()
        self._searched = 0
        return complete
