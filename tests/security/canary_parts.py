"""Canaries: strings of one made-up patient, and a search that finds them in whatever clothes they come."""

from __future__ import annotations

import asyncio
import gzip
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable, Set
from pathlib import Path
from typing import Any

import asyncpg

PATIENT = {
    "family name": "ZANZIBARSKY",
    "given name": "QUINTESSA",
    "MRN": "MRN-90909123",
    "account": "ACC-81818456",
    "address": "77 XYLOPHONE STREET",
    "date of birth": "19470203",
    "SSN": "987-65-4320",
    "phone": "5550142424",
    "claim": "CLM-70713377",
    "payer claim": "HHPX-60609988",
    "recouped claim": "OLD-50501199",
}


def _base64_cores(plain: bytes) -> set[bytes]:
    """How bytes look inside longer base64: one spelling for each of the three ways they may lie."""
    cores = set()
    for shift in range(3):
        text = b64encode(b"\0" * shift + plain)
        whole = (shift * 8 + 5) // 6, (shift + len(plain)) * 8 // 6
        cores.add(text[whole[0] : whole[1]])
    return cores


def _spellings(text: str) -> set[bytes]:
    found: set[bytes] = set()
    for letters in {text, text.lower(), text.title()}:
        plain = letters.encode()
        found |= {plain, letters.encode("utf-16-le"), letters.encode("utf-16-be")}
        found |= {plain.hex().encode(), plain.hex().upper().encode()}
        for core in _base64_cores(plain):
            found |= {core, core.replace(b"+", b"-").replace(b"/", b"_")}
    return found


SPELLINGS = {name: _spellings(text) for name, text in PATIENT.items()}


def canaries_in(data: bytes) -> set[str]:
    """Which of the patient's strings stand in these bytes, in plain, hex, base64 or UTF-16."""
    return {name for name, spellings in SPELLINGS.items() if any(s in data for s in spellings)}


def in_files(folder: Path) -> dict[str, set[str]]:
    """Files below a folder that hold a canary: logs, the database's own files and its write-ahead log too."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue  # A running database takes files away.
        hits = canaries_in(gzip.decompress(data) if path.suffix == ".gz" else data)
        if hits:
            found[path.relative_to(folder).as_posix()] = hits
    return found


def in_database(url: str) -> dict[str, set[str]]:
    """Columns of every table of every schema that hold a canary: as text, and every bytea as the bytes it is."""

    async def dump() -> dict[str, set[str]]:
        connection = await asyncpg.connect(url)
        found: dict[str, set[str]] = {}
        try:
            async for column, value in _every_value(connection):
                hits = canaries_in(_bytes(value))
                if hits:
                    found.setdefault(column, set()).update(hits)
        finally:
            await connection.close()
        return found

    return asyncio.run(dump())


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, list | tuple):
        return b"\n".join(_bytes(inner) for inner in value)
    return str(value).encode()


def adt(trigger: str, control_id: str, *, version: str = "2.5.1") -> bytes:
    """A message with everything of the patient in it; what may be searched by is the account and the MRN."""
    p = PATIENT
    return "\r".join(
        [
            f"MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20261121080000||ADT^{trigger}|{control_id}|P|{version}",
            f"EVN|{trigger}|20261121080000",
            f"PID|1||{p['MRN']}^^^ST-MARY^MR||{p['family name']}^{p['given name']}||{p['date of birth']}|F|||{p['address']}"
            f"^^CHICAGO||{p['phone']}|||||{p['account']}^^^ST-MARY^AN|{p['SSN']}",
            "PV1|1|O|OR",
            "",
        ]
    ).encode()


def charge(usage: str, code: str) -> bytes:
    p = PATIENT
    return "\r".join(
        [
            f"MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20261121080000||DFT^P03|C-{usage}|P|2.5.1",
            "EVN|P03|20261121080000",
            f"PID|1||{p['MRN']}^^^ST-MARY^MR||{p['family name']}^{p['given name']}||{p['date of birth']}|F|||{p['address']}"
            f"||{p['phone']}|||||{p['account']}^^^ST-MARY^AN|{p['SSN']}",
            f"FT1|1|{usage}||20261121080000||CG|{code}^Implant|||1|1000.00||OR",
            "",
        ]
    ).encode()


def remittance(trace: str, *, payee: str = "1234567893", short: str = "0") -> bytes:
    """An 835 that names her and her claims wherever one may: CLP, NM1, REF, PLB. ``short`` is what it fails to add up by."""
    p = PATIENT
    segments = [
        "ISA*00*          *00*          *ZZ*HARBOR         *ZZ*LAKESHORE      *261121*0600*^*00501*000000071*0*T*:",
        "GS*HP*HARBOR*LAKESHORE*20261121*0600*71*X*005010X221A1",
        "ST*835*0001",
        f"BPR*I*{1125 + int(short)}*C*ACH*CTX*01*021000021*DA*77003311*1360000001**01*072000326*DA*88112200*20261121",
        f"TRN*1*{trace}*1360000001",
        "DTM*405*20261121",
        "N1*PR*HARBOR HEALTH PLAN*XV*HHP01",
        "N3*1 HARBOR PLAZA",
        "N4*LAKEPORT*MI*49001",
        "PER*BL*PROVIDER SERVICES*TE*5550100300",
        f"N1*PE*ST MARY MEDICAL CENTER*XX*{payee}",
        "LX*1",
        f"CLP*{p['claim']}*1*1500*1200*100*12*{p['payer claim']}*11*1",
        "CAS*CO*45*200",
        "CAS*PR*2*100",
        f"NM1*QC*1*{p['family name']}*{p['given name']}****MI*{p['MRN']}",
        f"REF*EA*{p['account']}",
        "DTM*232*20260115",
        f"PLB*{payee}*20261231*WO:{p['recouped claim']}*75",
    ]
    segments += [f"SE*{len(segments) - 1}*0001", "GE*1*71", "IEA*1*000000071"]
    return "".join(segment + "~\n" for segment in segments).encode()


def said(parts: Iterable[str]) -> bytes:
    return "\n".join(parts).encode()


_WORD = re.compile(rb"[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*")


def words_of(data: bytes) -> set[str]:
    """Every word of some bytes, to be met with thousands of names at once."""
    return {word.decode() for word in _WORD.findall(data)}


def in_database_words(url: str, names: Set[str]) -> dict[str, set[str]]:
    """Columns of every table that hold one of these names as a word, in clear."""

    async def look() -> dict[str, set[str]]:
        connection = await asyncpg.connect(url)
        found: dict[str, set[str]] = {}
        try:
            async for column, value in _every_value(connection):
                hits = words_of(_bytes(value)) & names
                if hits:
                    found.setdefault(column, set()).update(hits)
        finally:
            await connection.close()
        return found

    return asyncio.run(look())


async def _every_value(connection: asyncpg.Connection) -> AsyncIterator[tuple[str, Any]]:
    tables = await connection.fetch(
        """SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"""
    )
    for table in tables:
        async with connection.transaction():
            async for row in connection.cursor(f'SELECT * FROM "{table["nspname"]}"."{table["relname"]}"'):
                for column, value in row.items():
                    yield f"{table['nspname']}.{table['relname']}.{column}", value
