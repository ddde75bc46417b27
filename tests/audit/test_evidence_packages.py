"""Evidence packages: whole they verify offline; whatever is missing, altered or swapped in one is detected and named."""

from __future__ import annotations

import asyncio
import io
import zipfile
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sealing_parts import protection_for
from tests.tower.lakeshore_day import PATIENT, lakeshore, wall
from tests.tower.morning_fixtures import morning_template, morning_url

from hilum.audit.access import Access, AccessLog
from hilum.audit.evidence.assembling import Assembled, NothingToPackage, Sources, TooMuchToPackage, assemble
from hilum.audit.evidence.package import Package, json_bytes, json_lines
from hilum.audit.evidence.scope import NoPeriod, Scope, month_before, period_bounds
from hilum.audit.evidence.verifying import PackageReport, verify_package
from hilum.audit.places import FilePlace, read_published
from hilum.audit.publishing import HeadPublisher
from hilum.audit.sequencer import Sequencer
from hilum.audit.signing import Signer
from hilum.authoring.caller import Caller
from hilum.security.redaction import mask_hl7

__all__ = ["morning_template", "morning_url"]

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ANA = Caller("person", "ana", "https://id.lakeshore", purpose="audit", break_glass="bg-7")
U_1 = Scope.of_key("implant_usage/U-1")


@dataclass
class Archivist:
    """A played morning with the log's own key, and a hand that makes packages of it."""

    url: str
    signer: Signer
    keys: Path
    place: FilePlace

    def makes(self, scope: Scope = U_1, **how: Any) -> Assembled:
        async def work(pool: asyncpg.Pool) -> Assembled:
            estate = lakeshore()
            protection = await protection_for(pool, estate, wall)
            sources = Sources(estate, self.signer, mask_hl7, protection, "policies-1")
            async with pool.acquire() as connection:
                return await assemble(
                    connection, scope, sources, at=NOON, made_by="person:ana", reason="the year's audit", **how
                )

        return self.does(work)

    def does(self, work: Callable[[asyncpg.Pool], Any]) -> Any:
        async def connected() -> Any:
            async with asyncpg.create_pool(
                self.url, min_size=1, max_size=3, server_settings={"search_path": "hilum"}
            ) as pool:
                return await work(pool)

        return asyncio.run(connected())

    def looks(self, *subjects: str) -> None:
        async def work(pool: asyncpg.Pool) -> None:
            access = Access(ANA, "read", "tower.thread", "Thread", subjects, shown=frozenset({"phi"}), peer="10.0.0.7")
            await AccessLog(pool, "tower", clock=wall).record(access)
            await self.sequencer(pool).run_once()

        self.does(work)

    def sequencer(self, pool: asyncpg.Pool) -> Sequencer:
        return Sequencer(pool, self.signer, wall, heads_file=self.keys / "heads.jsonl")

    def publishes(self) -> None:
        async def alarm(place: str, text: str) -> None:
            raise AssertionError(text)

        async def work(pool: asyncpg.Pool) -> None:
            await HeadPublisher(pool, [self.place], self.signer.public_key, wall, alarm=alarm).run_once()

        self.does(work)


@pytest.fixture
def archivist(morning_url: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Archivist:
    (original,) = tmp_path_factory.getbasetemp().glob("morning-audit[0-9]")
    keys = tmp_path / "audit"
    keys.mkdir(mode=0o700)
    for name in ("signing-key.pem", "public-key.pem", "heads.jsonl"):
        (keys / name).write_bytes((original / name).read_bytes())
        (keys / name).chmod(0o600)
    return Archivist(morning_url, Signer.open(keys), keys, FilePlace(tmp_path / "worm" / "heads.jsonl"))


@pytest.fixture
def made(archivist: Archivist) -> Assembled:
    archivist.publishes()
    archivist.looks("c/implant_usage/U-1")
    return archivist.makes()


def verified(archivist: Archivist, content: bytes, **how: Any) -> PackageReport:
    return verify_package(Package.of(content, "package.zip"), public_key=archivist.signer.public_key, **how)


def test_a_package_tells_the_whole_thread_and_verifies(archivist: Archivist, made: Assembled) -> None:
    report = verified(archivist, made.content, name=made.digest)
    assert report.problems == []
    assert (report.threads, report.messages, report.continues, report.subject) == (1, 3, 1, "key/implant_usage/U-1")
    assert report.entries == made.entries > 5 and made.pending == 0
    package = Package.of(made.content, "p")
    (thread,) = package.lines("threads.jsonl")
    assert [d["system"] for d in thread["documents"]] == ["stock", "erp", "erp", "billing"]
    (transformation,) = thread["transformations"]
    assert transformation["contract"] == "ImplantUsed@1" and transformation["mapping"] == "implants_charged@1"
    assert transformation["before"].startswith("MSH|^~\\&") and "PID|" in transformation["before"]
    assert transformation["after"]["quantity"] == 1 and len(transformation["contract_schema_sha256"]) == 64
    (access,) = package.lines("accesses.jsonl")
    assert (access["actor"], access["break_glass"], access["shown"]) == ("person:ana", "bg-7", ["phi"])


def test_a_package_and_its_cover_hold_no_protected_data(made: Assembled) -> None:
    for value in PATIENT.values():
        assert value.encode() not in made.content
    assert b"RIVERA" not in made.content and b"***" in made.content
    cover = Package.of(made.content, "p").members["cover.html"].decode()
    assert "person:ana" in cover and "bg-7" in cover and "journal" in cover
    assert (
        "<script" not in cover
        and "http://" not in cover
        and "https://" not in cover.replace("https://id.lakeshore", "")
    )


def test_with_payloads_the_source_bytes_are_those_that_arrived(archivist: Archivist) -> None:
    made = archivist.makes(with_payloads=True)
    assert verified(archivist, made.content).whole
    members = Package.of(made.content, "p").members
    assert PATIENT["name"].encode() in members["payloads/m-1-3"]
    assert len([name for name in members if name.startswith("payloads/")]) == 3


def test_the_same_content_gives_the_same_bytes(archivist: Archivist) -> None:
    assert archivist.makes().digest == archivist.makes().digest


def test_a_period_holds_every_case_of_a_facility(archivist: Archivist) -> None:
    day = f"{wall():%Y-%m-%d}"
    found = [archivist.makes(Scope.of_period(period, "ST-MARY")) for period in (day[:7], day[:4])]
    assert {made.threads for made in found} == {7}
    assert all(verified(archivist, made.content).whole for made in found)
    with pytest.raises(NothingToPackage, match="period/2001/ST-MARY"):
        archivist.makes(Scope.of_period("2001", "ST-MARY"))
    with pytest.raises(NothingToPackage):
        archivist.makes(Scope.of_period(day[:7], "HARBOR-VIEW"))
    with pytest.raises(NothingToPackage, match="nothing is known"):
        archivist.makes(Scope.of_key("U-404"))


@pytest.mark.parametrize("by", ["number", "delivery key", "search key"])
def test_a_facilitys_package_holds_what_was_posted_there_whatever_its_event_says(archivist: Archivist, by: str) -> None:
    async def posts(pool: asyncpg.Pool) -> None:
        case, shard, seq = await pool.fetchrow(
            "SELECT id, event_shard, event_seq FROM flow_case WHERE id = 'implant_usage/U-1'"
        )
        number = await pool.fetchval(
            """SELECT k.value FROM business_key k JOIN delivery_case dc ON k.subject = 'd/' || dc.key
                WHERE dc.case_id = $1 AND k.kind = 'journal'""", case,
        )  # fmt: skip
        posted = number if by == "number" else None
        await pool.execute(
            """INSERT INTO posting_source (source, kind, reference, on_day, amount, digest, tables, entries, staged_at)
               VALUES ('remittance/HHP01/EFT-7', 'remittance', 'EFT-7', '2026-03-02', 10, '', '', 1, now())"""
        )
        await pool.execute(
            """INSERT INTO posting_journal (source, facility, total, number, posted_on, posted_at)
               VALUES ('remittance/HHP01/EFT-7', 'HARBOR-VIEW', 10, $1::text, CASE WHEN $1::text IS NOT NULL THEN '2026-03-02'::date END,
                       CASE WHEN $1::text IS NOT NULL THEN now() END)""", posted,
        )  # fmt: skip
        if by == "delivery key":
            await pool.execute(
                "INSERT INTO delivery_case VALUES ('remittance/HHP01/EFT-7/HARBOR-VIEW', $1, 'post_journal', now())",
                case,
            )
        if by == "search key":
            await pool.execute(
                "INSERT INTO business_key (value, kind, subject, at) VALUES ('HHP01/EFT-7', 'remittance', $1, now())",
                f"e/{shard}/{seq}",
            )

    archivist.does(posts)
    made = archivist.makes(Scope.of_period(f"{wall():%Y}", "HARBOR-VIEW"))
    assert made.threads == 1 and b"c/implant_usage/U-1" in made.content
    with pytest.raises(NothingToPackage):
        archivist.makes(Scope.of_period(f"{wall():%Y}", "NORTH-POINT"))


def test_too_much_is_told_instead_of_cut(archivist: Archivist, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.audit.evidence.assembling.MOST_THREADS", 3)
    with pytest.raises(TooMuchToPackage, match="more than 3 cases"):
        archivist.makes(Scope.of_period(f"{wall():%Y-%m}"))


# --- attacks -----------------------------------------------------------------------------------------------------


def changed(content: bytes, **members: bytes | None) -> bytes:
    """The package with these members replaced (None: removed); ``a__b`` stands for ``a.b``."""
    wanted = {name.replace("__", "."): value for name, value in members.items()}
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target, "w") as new:
        for name in [*old.namelist(), *(name for name in wanted if name not in old.namelist())]:
            value = wanted[name] if name in wanted else old.read(name)
            if value is not None:
                new.writestr(name, value)
    return target.getvalue()


def resigned(content: bytes, signer: Signer, **members: bytes) -> bytes:
    """As one who has a key of their own would: digests and signature recomputed."""
    forged = changed(content, **members)
    manifest = dict(Package.of(forged, "p").manifest)
    manifest["files"] = manifest["files"] | {
        name.replace("__", "."): {"bytes": len(value), "sha256": sha256(value).hexdigest()}
        for name, value in members.items()
    }
    statement = json_bytes(manifest)
    signature = b64encode(signer.sign_statement("evidence", statement)).decode()
    return changed(
        forged, manifest__json=statement, signature__json=json_bytes({"key_id": signer.key_id, "signature": signature})
    )


@pytest.mark.parametrize("name", ["threads.jsonl", "entries.jsonl", "heads.json", "accesses.jsonl", "cover.html"])
def test_a_missing_and_an_altered_file_are_named(archivist: Archivist, made: Assembled, name: str) -> None:
    gone = verified(archivist, changed(made.content, **{name.replace(".", "__"): None}))
    assert f"{name} is missing" in gone.problems
    original = Package.of(made.content, "p").members[name]
    altered = verified(archivist, changed(made.content, **{name.replace(".", "__"): original + b" "}))
    assert f"{name} was altered: its bytes do not give the digest in the manifest" in altered.problems


def test_an_added_file_is_named(archivist: Archivist, made: Assembled) -> None:
    report = verified(archivist, changed(made.content, memo__txt=b"approved by the board"))
    assert report.problems == ["memo.txt was added: the manifest does not list it"]


def test_an_altered_manifest_is_not_signed(archivist: Archivist, made: Assembled) -> None:
    manifest = dict(Package.of(made.content, "p").manifest) | {"reason": "none"}
    (problem,) = verified(archivist, changed(made.content, manifest__json=json_bytes(manifest))).problems
    assert "manifest.json is not signed by the key" in problem


def test_a_foreign_key_is_named_and_its_own_key_is_not_believed(archivist: Archivist, made: Assembled) -> None:
    thief = Signer.open(archivist.keys / "thief")
    package = Package.of(resigned(made.content, thief), "p")
    report = verify_package(package, public_key=thief.public_key)
    assert any("heads.json" in p and "is not signed by the key" in p for p in report.problems)
    ours = verified(archivist, resigned(made.content, thief))
    assert "manifest.json is not signed by the key" in ours.problems[0]
    assert verify_package(Package.of(made.content, "p")).own_key


def test_a_swapped_proof_is_named(archivist: Archivist, made: Assembled) -> None:
    entries = Package.of(made.content, "p").lines("entries.jsonl")
    entries[1]["path"], entries[2]["path"] = entries[2]["path"], entries[1]["path"]
    report = verified(archivist, resigned(made.content, archivist.signer, entries__jsonl=json_lines(entries)))
    assert len(report.problems) == 2 and all("its proof was swapped" in p for p in report.problems)
    assert f"leaf {entries[1]['leaf']}" in report.problems[0]


def test_a_forged_entry_is_named_even_with_the_platforms_own_key(archivist: Archivist, made: Assembled) -> None:
    entries = Package.of(made.content, "p").lines("entries.jsonl")
    entries[0]["entry"] = entries[0]["entry"].replace("system:", "person:")
    report = verified(archivist, resigned(made.content, archivist.signer, entries__jsonl=json_lines(entries)))
    assert any("entry 1 of entries.jsonl" in p and "swapped" in p for p in report.problems)


def test_another_messages_bytes_are_named(archivist: Archivist) -> None:
    made = archivist.makes(with_payloads=True)
    threads = Package.of(made.content, "p").lines("threads.jsonl")
    threads[0]["messages"][0]["sha256"] = "0" * 64
    report = verified(archivist, resigned(made.content, archivist.signer, threads__jsonl=json_lines(threads)))
    assert any("are not those that the log accepted" in p for p in report.problems)
    forged = resigned(made.content, archivist.signer, **{"payloads/m-1-3": b"MSH|forged"})
    (problem,) = verified(archivist, forged).problems
    assert problem.startswith("payloads/m-1-3 holds other bytes")


def test_an_access_that_the_log_does_not_have_is_named(archivist: Archivist, made: Assembled) -> None:
    accesses = Package.of(made.content, "p").lines("accesses.jsonl")
    accesses.append(accesses[0] | {"seq": 99, "actor": "person:bob"})
    report = verified(archivist, resigned(made.content, archivist.signer, accesses__jsonl=json_lines(accesses)))
    assert report.problems == ["accesses.jsonl: 1 accesses stand in no proved entry"]


def test_a_log_that_was_forked_before_the_package_was_made_is_found_by_the_published_heads(
    archivist: Archivist, made: Assembled
) -> None:
    published = [p.head for p in read_published(archivist.place.name)]
    assert verified(archivist, made.content, published=published).problems == []
    elsewhere = [archivist.signer.sign(published[0].size, b"x" * 32, NOON)]
    (problem,) = verified(archivist, made.content, published=elsewhere).problems
    assert "is not the one that really was published: the log was forked" in problem
    (problem,) = verified(archivist, made.content, published=[archivist.signer.sign(3, b"x" * 32, NOON)]).problems
    assert "no published head at hand" in problem
    heads = orjson.loads(Package.of(made.content, "p").members["heads.json"])
    proof = heads["published"][0]["proof"]
    heads["published"][0]["proof"] = [b64encode(bytes(b64decode(step)[::-1])).decode() for step in proof]
    report = verified(archivist, resigned(made.content, archivist.signer, heads__json=json_bytes(heads)))
    assert any("is not continued by the package's head" in p for p in report.problems)


def test_a_package_under_another_name_is_named(archivist: Archivist, made: Assembled) -> None:
    (problem,) = verified(archivist, made.content, name="0" * 64).problems
    assert "not 000000" in problem


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bit_is_found_or_changes_nothing_that_counts(
    archivist: Archivist, made: Assembled, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(made.content) * 8 - 1))
    content = bytearray(made.content)
    content[place // 8] ^= 1 << place % 8
    report = _judged(archivist, bytes(content), made.digest)
    assert report != []


def _judged(archivist: Archivist, content: bytes, name: str) -> list[str]:
    from hilum.audit.evidence.package import NotAPackage

    try:
        return verified(archivist, content, name=name).problems
    except NotAPackage as refused:
        return [str(refused)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["threads.jsonl", "entries.jsonl", "heads.json", "accesses.jsonl"]), value=st.recursive(
    st.none() | st.integers(-(2**60), 2**60) | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["head", "published", "messages", "entry", "leaf", "path", "address", "size"]), inner, max_size=3)))  # fmt: skip
def test_whatever_stands_in_a_file_is_a_problem_and_no_crash(
    archivist: Archivist, made: Assembled, name: str, value: Any
) -> None:
    forged = resigned(made.content, archivist.signer, **{name.replace(".", "__"): json_bytes(value)})
    assert verified(archivist, forged).problems != [] or name == "accesses.jsonl"


# --- scopes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "2026-13", "2026-02-30", "november", "2026-1", "2026/11"])
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(NoPeriod, match="write 2026"):
        Scope.of_period(text)


def test_a_months_bounds_are_the_hospitals_not_utc() -> None:
    zone = lakeshore_zone()
    start, end = period_bounds("2026-11", zone)
    assert (start, end) == (datetime(2026, 11, 1, 5, tzinfo=UTC), datetime(2026, 12, 1, 6, tzinfo=UTC))
    assert month_before(datetime(2026, 12, 1, 5, 59, tzinfo=UTC), zone) == "2026-10"
    assert month_before(datetime(2026, 12, 1, 6, 0, tzinfo=UTC), zone) == "2026-11"


def lakeshore_zone() -> Any:
    from zoneinfo import ZoneInfo

    return ZoneInfo("America/Chicago")
