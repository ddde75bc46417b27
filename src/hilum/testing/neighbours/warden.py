"""Programs that end when this process ends, even when it is killed.

Between this process and the program stands a warden: this file, run as a program with the standard library only. It holds
the reading end of a pipe. When the writing end closes, for whatever reason, it ends the program; when the warden itself
dies, the kernel ends the program (Linux: PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

_PR_SET_PDEATHSIG = 1
_GRACE_SECONDS = 5.0


class Guarded:
    """One running program. Its output goes to the file ``log``; it gets no signal from the terminal."""

    def __init__(self, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> None:
        self._log = log
        read_end, self._lifeline = os.pipe()
        try:
            with open(log, "ab") as output:
                self._warden = subprocess.Popen(
                    [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command],
                    stdin=read_end,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=dict(env) if env is not None else None,
                    start_new_session=True,
                )
        except BaseException:
            os.close(self._lifeline)
            raise
        finally:
            os.close(read_end)
        self._ended = False

    @property
    def running(self) -> bool:
        return not self._ended and self._warden.poll() is None

    def wait(self) -> int:
        """Wait until the program ends by itself; returns its exit code."""
        return self._warden.wait()

    def last_words(self, lines: int = 15) -> str:
        """The end of the program's output."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """End the program (SIGTERM, after 5 s SIGKILL) and return when it is gone."""
        self._end(b"stop\n")

    def kill(self) -> None:
        """End the program at once (SIGKILL) and return when it is gone."""
        self._end(b"kill\n")

    def _end(self, word: bytes) -> None:
        if self._ended:
            return
        self._ended = True
        with contextlib.suppress(BrokenPipeError):
            os.write(self._lifeline, word)
        os.close(self._lifeline)
        self._warden.wait()


def _guard(parent: int, command: Sequence[str]) -> int:
    """The warden's whole life; returns the program's exit code."""
    wake, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)

    def noted(number: int, frame: FrameType | None) -> None:
        """The signal's number is in the pipe."""

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, noted)
    warden = os.getpid()

    def die_with_the_warden() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != warden:
                os._exit(1)

    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=die_with_the_warden)
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    poll.register(0, select.POLLIN)
    if hasattr(os, "pidfd_open"):
        # A process that the parent forked may hold the pipe open; the parent's own end is seen all the same.
        with contextlib.suppress(OSError):
            poll.register(os.pidfd_open(parent), select.POLLIN)
    gently = True
    while program.poll() is None:
        ready = [file for file, _ in poll.poll(1000)]
        if 0 in ready:
            gently = os.read(0, 16) != b"kill\n"
            break
        if wake in ready and os.read(wake, 64).strip(bytes([signal.SIGCHLD])):
            break
        if set(ready) - {0, wake} or os.getppid() != parent:
            break
    if program.poll() is None:
        if gently:
            program.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return program.wait(_GRACE_SECONDS)
        program.kill()
    return program.wait()


if __name__ == "__main__":
    sys.exit(_guard(int(sys.argv[1]), sys.argv[2:]))
