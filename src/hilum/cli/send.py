"""`hilum send`: give a message to a door as its sender would, and show the answer."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from hilum.authoring.failures import Unavailable
from hilum.formats import hl7v2
from hilum.transports.mllp.client import MllpClient

Files = Annotated[
    list[str], typer.Argument(help="Files of HL7 v2 messages, one or many in each; - reads standard input.")
]
To = Annotated[str, typer.Option("--to", help="Where to: mllp://host:port.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object for each message.")]


def send(files: Files, to: To = "mllp://127.0.0.1:6661", as_json: AsJson = False) -> None:
    """Send HL7 v2 messages over MLLP and print each acknowledgement.

    Exit code 0 when every message was accepted (AA or CA), 1 when one was not, 2 when the door does not answer.

    Example: hilum send estates/lakeshore/samples/implants_charged.hl7 --to mllp://127.0.0.1:6661
    """
    console = Console(soft_wrap=True, stderr=as_json)
    host, _, port = to.removeprefix("mllp://").rpartition(":")
    if not to.startswith("mllp://") or not port.isdigit():
        console.print(f"[red]{to} is no address of a door; write mllp://host:port[/]")
        raise typer.Exit(2)
    try:
        refused = asyncio.run(_send_all(files, host, int(port), console, as_json))
    except hl7v2.HL7Error as error:
        console.print(f"[red]this is no HL7 v2:[/] {escape(str(error))}")
        raise typer.Exit(1) from None
    except Unavailable as away:
        console.print(f"[red]{escape(str(away))}[/]. Is the platform up? `hilum status` shows its doors.")
        raise typer.Exit(2) from None
    except OSError as error:
        console.print(f"[red]{escape(str(error.filename or to))}: {error.strerror}[/]")
        raise typer.Exit(2) from None
    raise typer.Exit(1 if refused else 0)


async def _send_all(files: list[str], host: str, port: int, console: Console, as_json: bool) -> int:
    client = MllpClient(host, port)
    refused = 0
    try:
        for name in files:
            data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
            for message in hl7v2.split_messages(data):
                answer = _answer(await client.exchange(message))
                code, about = answer.get("MSA-1"), answer.get("MSA-2")
                why = answer.get("ERR-8") or answer.get("MSA-3")
                good = code in ("AA", "CA")
                refused += not good
                if as_json:
                    sys.stdout.write(
                        orjson.dumps({"file": name, "control_id": about, "code": code, "text": why}).decode() + "\n"
                    )
                else:
                    mark = "[green]accepted[/]" if good else "[red]refused[/]"
                    console.print(f"{mark} {code} {about or ''}" + (f": {escape(why)}" if why and not good else ""))
    finally:
        await client.close()
    return refused


def _answer(data: bytes) -> hl7v2.Message:
    try:
        return hl7v2.Message.parse(data)
    except hl7v2.HL7Error:
        raise Unavailable("the door", "what it answered is no HL7 v2") from None
