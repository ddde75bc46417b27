"""Files of any format as the commands take them: opened, recognised, read in bounded memory, never ending in a traceback.

Exit codes: 0 nothing wrong (warnings are allowed), 1 something is, 2 a file or an option cannot be read.
"""

from __future__ import annotations

import codecs
import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from hilum.cli.platform import usage
from hilum.formats.findings import FormatError
from hilum.formats.recognition import FORMATS, LOOKED_AT, Format, recognise
from hilum.formats.tabular import Layout, LayoutError, read_layout

MOST_BYTES = 256 << 20
"""A file that has to be in memory as a whole may be so large; X12 and tables are checked and converted as they come."""
_PROGRESS_FROM_BYTES = 8 << 20
_CHUNK = 1 << 18
_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".psv": "|"}

FilesArgument = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="Files of any format; - reads standard input.", show_default=False),
]
FormatOption = Annotated[
    str | None,
    typer.Option("--format", help=f"Take the files for this, whatever they look like: {', '.join(FORMATS)}."),
]
LayoutOption = Annotated[
    Path | None, typer.Option("--layout", help="A layout in TOML that the files, which are tables, have to keep to.")
]
ShowPhi = Annotated[
    bool, typer.Option("--show-phi", help="Show protected health information, which is masked otherwise.")
]


class Unreadable(Exception):
    """A file cannot be read; the sentence says why."""


@dataclass(slots=True)
class Wish:
    """What the options say of all files."""

    format: Format | None = None
    layout: Layout | None = None


def wish(format_name: str | None, layout: Path | None) -> Wish:
    """The options checked; exit 2 with a sentence for what they cannot be."""
    chosen = None
    if format_name is not None:
        chosen = FORMATS.get(format_name)
        if chosen is None:
            usage(f"--format {format_name} is none of {', '.join(FORMATS)}")
    if layout is None:
        return Wish(chosen)
    if chosen is not None and chosen.name != "table":
        usage(f"--layout is for tables, and --format says {chosen.title}")
    try:
        return Wish(FORMATS["table"], read_layout(layout.read_bytes()))
    except OSError as error:
        usage(f"{layout} cannot be read: {error.strerror}")
    except LayoutError as wrong:
        usage(f"{layout}: {wrong.text}" + (f" ({wrong.location})" if wrong.location is not None else ""))


@dataclass(slots=True)
class Opened:
    """A file whose start has been read: its name, what it is, and the rest as a stream."""

    name: str
    stream: BinaryIO
    head: bytes
    format: Format
    wish: Wish
    delimiter: str | None = None
    progress: Progress | None = None

    def chunks(self) -> Iterator[bytes]:
        """All of it, as it comes; Unreadable when it stops to."""
        yield self.head
        task = self.progress.task_ids[0] if self.progress is not None else None
        while chunk := _read(self.stream, self.name, _CHUNK):
            if self.progress is not None and task is not None:
                self.progress.advance(task, len(chunk))
            yield chunk

    def whole(self) -> bytes:
        """All of it in memory; Unreadable when it is too much."""
        parts, size = [], 0
        for chunk in self.chunks():
            parts.append(chunk)
            size += len(chunk)
            if size > MOST_BYTES:
                raise Unreadable(
                    f"is larger than {MOST_BYTES >> 20} MB; split it, or use validate or convert, which read X12 and tables"
                    " as they come"
                )
        return b"".join(parts)

    def whole_when_small(self, most_bytes: int) -> tuple[bytes | None, Iterator[bytes]]:
        """All of it when it is no larger than this, else None; and the chunks of it in either case."""
        parts, size = [], 0
        chunks = self.chunks()
        for chunk in chunks:
            parts.append(chunk)
            size += len(chunk)
            if size > most_bytes:
                return None, chain(parts, chunks)
        return b"".join(parts), iter(parts)

    @property
    def module(self) -> Any:
        return self.format.module


@dataclass(slots=True)
class Outcome:
    """What became of all files; the command's exit code comes of it."""

    errors: bool = False
    unreadable: bool = False
    told: Console = field(default_factory=lambda: Console(stderr=True, soft_wrap=True, highlight=False))

    @property
    def code(self) -> int:
        return 2 if self.unreadable else 1 if self.errors else 0

    def cannot_read(self, name: str, why: str) -> None:
        self.unreadable = True
        self.told.print(f"[bold red]Error:[/] {escape(plain(name))} {escape(why)}")

    def refuse(self, name: str, why: str) -> None:
        """The file is readable, and nothing can be done with it."""
        self.errors = True
        self.told.print(f"[bold red]No:[/] {escape(plain(name))}: {escape(why)}")

    @contextmanager
    def about(self, name: str) -> Iterator[None]:
        """Whatever happens with one file stays with it; the others still come."""
        try:
            yield
        except FormatError as error:
            where = f":{error.line}" if error.line is not None else ""
            self.refuse(
                name + where, f"{error.code}: {error.text}" + (f" at {error.location}" if error.location else "")
            )
        except Unreadable as error:
            self.cannot_read(name, str(error))
        except MemoryError:
            self.cannot_read(name, "needs more memory than there is")
        except RecursionError:
            self.refuse(name, "it is nested too deeply")
        except (typer.Exit, OSError):
            raise
        except Exception as bug:  # noqa: BLE001 - a defect of ours must neither hide the other files nor show their data.
            self.unreadable = True
            self.told.print(f"[bold red]Defect:[/] {escape(plain(name))} met a defect of Hilum: {_place(bug)}")


@contextmanager
def concluded() -> Iterator[Outcome]:
    """A command's frame: its exit code in the end, and silence when nobody reads its output any more."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    outcome = Outcome()
    try:
        yield outcome
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        _forget_output()
        if error.errno in (errno.EPIPE, errno.EINVAL):
            raise typer.Exit(1) from None
        usage(f"the output cannot be written: {error.strerror}")
    raise typer.Exit(outcome.code)


def opened(files: Sequence[str], wished: Wish, outcome: Outcome) -> Iterator[Opened]:
    """Each file that can be opened and recognised; the others are told and counted."""
    for name in files:
        with outcome.about(name):
            stream, size = _open(name)
            try:
                head = _head(stream, name)
                found, delimiter = _recognised(name, head, wished)
                if found is None:
                    outcome.refuse(name, _unknown(head))
                    continue
                file = Opened(name, stream, head, found, wished, delimiter)
                with _progress(outcome, name, size) as file.progress:
                    yield file
            finally:
                if name != "-":
                    stream.close()


def _open(name: str) -> tuple[BinaryIO, int | None]:
    if name == "-":
        if sys.stdin is None or sys.stdin.closed:
            raise Unreadable("cannot be read: standard input is closed")
        return sys.stdin.buffer, None
    try:
        stream = open(name, "rb")  # noqa: SIM115 - closed by the one who asked.
        return stream, os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise Unreadable("cannot be read: this is no name of a file") from None


def _read(stream: BinaryIO, name: str, size: int) -> bytes:
    try:
        return stream.read(size)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise Unreadable("cannot be read: it is closed") from None


def _head(stream: BinaryIO, name: str) -> bytes:
    head = b""
    while len(head) < LOOKED_AT and (chunk := _read(stream, name, LOOKED_AT - len(head))):
        head += chunk
    return head


def _recognised(name: str, head: bytes, wished: Wish) -> tuple[Format | None, str | None]:
    """The format, and the delimiter when only the file's name says that it is a table."""
    suffix = _DELIMITERS.get(Path(name).suffix.lower()) if "\0" not in name else None
    if wished.format is not None:
        return wished.format, suffix if suffix is not None else "," if wished.format.name == "table" else None
    if (found := recognise(head)) is not None:
        return FORMATS[found], None
    if suffix is not None and head.strip():
        return FORMATS["table"], suffix
    return None, None


def _unknown(head: bytes) -> str:
    if not head.strip(b" \t\r\n\0").removeprefix(codecs.BOM_UTF8):
        return "this is empty"
    titles = ", ".join(form.title for form in FORMATS.values())
    return f"this is no HL7 v2 and nothing else that is known ({titles}); name it with --format if it is"


@contextmanager
def _progress(outcome: Outcome, name: str, size: int | None) -> Iterator[Progress | None]:
    """A bar for a long file, only where a person looks at it."""
    if size is None or size < _PROGRESS_FROM_BYTES or not outcome.told.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=outcome.told, transient=True) as bar:
        bar.add_task(escape(plain(Path(name).name)), total=size)
        yield bar


def _place(bug: BaseException) -> str:
    """Where it happened, without a word of the data: ``KeyError at walker.py:120``."""
    trace = bug.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else ""
    return f"{type(bug).__name__}{where}"


def _forget_output() -> None:
    """Nobody reads: what is still buffered must not make the interpreter complain when it ends."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, AttributeError, ValueError):
        pass


def plain(text: str) -> str:
    """Text that cannot play with a terminal: control characters, and what is no character, are shown by their number."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
