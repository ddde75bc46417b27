"""The page, asked as a browser asks it, after a morning that really ran."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import asyncpg
import pytest
from prometheus_client import CollectorRegistry, Counter
from starlette.testclient import TestClient
from tests.identity_parts import Person, has_account, issuer
from tests.sealing_parts import protection_for
from tests.tower.lakeshore_day import PATIENT, lakeshore, wall

from hilum.app.people import open_people
from hilum.runtime import work_items
from hilum.runtime.claims import DEAD_AFTER_SECONDS
from hilum.runtime.overview import SILENT_AFTER_SECONDS
from hilum.security.policies import Policies
from hilum.store.pool import open_pool
from hilum.tower.app import CONTENT_SECURITY_POLICY, tower_app
from hilum.tower.showing import prose, span, stack

PAGES = ["/", "/queue", "/close", "/close/ST-MARY/journals-delayed", "/queue?show=all", "/queue/2", "/trace", "/trace/c/implant_usage/U-1", "/trace/c/implant_usage/U-2", "/trace/c/implant_usage/U-6", "/trace/m/1/11", "/trace/e/1/2", "/trace/w/2", "/nowhere"]  # fmt: skip


class Browser:
    """Somebody who has signed in, with one application; its pool lives on the browser's own event loop.

    The sign-in is a real one: through the embedded issuer's pages, served on the loopback address meanwhile.
    """

    def __init__(
        self,
        url: str,
        registry: CollectorRegistry | None = None,
        *,
        login: str | None = "ana",
        roles: tuple[str, ...] = ("administrator",),
        facilities: tuple[str, ...] = (),
        policies: Mapping[str, str] = {},
    ) -> None:
        self._url = url
        self._registry = registry
        self._login = login
        self._roles = roles
        self._facilities = facilities
        self._policies = policies
        self.cookies: dict[str, str] = {}

    def __enter__(self) -> Browser:
        self._runner = asyncio.Runner()
        self.pool: asyncpg.Pool = self.run(lambda: open_pool(self._url, min_size=1, max_size=6))
        self.run(self._open)
        return self

    async def _open(self) -> None:
        estate = lakeshore()
        protection = await protection_for(self.pool, estate, wall)
        self.opened = open_people(estate, self.pool, Path("unused"), Policies(self._policies), process="tower")
        self._app = tower_app(
            self.pool, estate, wall, self._registry, people=self.opened.people, tokens=protection.sealer, protection=protection
        )  # fmt: skip
        await self.opened.people.reached_at("http://hilum.test")
        if self._login is not None:
            await has_account(self.pool, self._login, roles=self._roles, facilities=self._facilities)
            async with issuer(estate, self.pool):
                await self.signs_in()

    async def signs_in(self, to: str = "/") -> None:
        """From the page to the issuer and back."""
        person = Person()
        _, begun, _ = await self._exchange("GET", f"/sign-in?to={to}")
        assert self._login is not None
        answered = await person.signs_in_at(begun["location"], self._login)
        back = urlsplit(answered.headers["location"])
        status, _, page = await self._exchange("GET", f"{back.path}?{back.query}")
        assert status == 200 and f"url={to}" in page, page
        await person.leaves()

    def __exit__(self, *_: object) -> None:
        self.run(self.opened.close)
        self.run(self.pool.close)
        self._runner.close()

    def run(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        async def awaited() -> Any:
            return await work()

        return self._runner.run(awaited())

    def ask(self, method: str, path: str, body: bytes = b"", peer: str = "10.0.0.1") -> tuple[int, dict[str, str], str]:
        answer: tuple[int, dict[str, str], str] = self.run(lambda: self._exchange(method, path, body, peer))
        return answer

    async def _exchange(
        self, method: str, path: str, body: bytes = b"", peer: str = "10.0.0.1"
    ) -> tuple[int, dict[str, str], str]:
        """One request through the ASGI interface itself, on the loop that owns the pool."""
        path, _, query = path.partition("?")
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
            "query_string": query.encode(), "headers": [(b"host", b"hilum.test"), (b"cookie", cookies.encode())], "scheme": "http",
            "server": ("hilum.test", 80), "client": (peer, 1),
        }  # fmt: skip
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        for name, value in sent[0]["headers"]:
            if name == b"set-cookie":
                morsel, _, rest = value.decode().partition(";")
                cookie, _, content = morsel.partition("=")
                self.cookies[cookie] = content.strip('"')
                if "Max-Age=0" in rest:
                    del self.cookies[cookie]
        return sent[0]["status"], headers, b"".join(m.get("body", b"") for m in sent[1:]).decode()

    def opens(self, path: str, status: int = 200, peer: str = "10.0.0.1") -> str:
        found, _, text = self.ask("GET", path, peer=peer)
        assert found == status, text
        return text

    def headers(self, path: str) -> dict[str, str]:
        return self.ask("GET", path)[1]

    def looks_for(self, body: str) -> tuple[int, dict[str, str], str]:
        return self.ask("POST", "/trace", body.encode())

    def sends(self, page: str, action: str, **fields: str) -> tuple[int, dict[str, str], str]:
        """Send a form of a page, with its hidden fields."""
        hidden = re.search(r'name="form" value="([^"]+)"', page)
        assert hidden is not None and f'action="{action}"' in page, page
        return self.ask("POST", action, urlencode({"form": hidden[1], **fields}).encode())


def words(page: str) -> str:
    """What a reader sees: tags away, blanks folded."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_the_overview_shows_systems_flows_queue_money_workers_and_the_audit_log(morning_url: str) -> None:
    with Browser(morning_url) as browser:
        page = browser.opens("/")
    text = words(page)
    assert "Messages received 13 2 refused, 2 repeated" in text
    assert "Cases done 3 0 on their way, 4 held up" in text
    assert "Waiting for a person 4 3 decisions to make" in text
    assert "Money at risk $12,180" in text
    assert "ERP (Tryton) erp away" in text and "503 Service Unavailable" in text
    assert "Unknown item: IMP-9999 item-master 2 $11,300.00" in text
    assert "worker-1 running" in text
    assert re.search(r"\d+ entries under the head signed", text)
    assert '<meta http-equiv="refresh" content="5">' in page


def test_only_the_overview_loads_itself_again(morning_url: str) -> None:
    with Browser(morning_url) as browser:
        assert [p for p in PAGES[:-1] if 'http-equiv="refresh"' in browser.opens(p)] == ["/"]


@pytest.mark.parametrize("path", PAGES)
def test_no_page_loads_anything_from_elsewhere_or_runs_a_script(morning_url: str, path: str) -> None:
    with Browser(morning_url) as browser:
        page = browser.opens(path, 404 if path == "/nowhere" else 200)
        headers = browser.headers(path)
    assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'")
    assert (headers["referrer-policy"], headers["cache-control"]) == ("no-referrer", "no-store")
    assert not re.search(r"(?:src|href|action)=\"(?!/)", page), "every address begins with / and stays here"
    assert not re.search(r"(?:src|href|action)=\"//", page)
    assert not re.search(r"<script|\son\w+=|\sstyle=", page)


@pytest.mark.parametrize("path", PAGES[:-1])
def test_no_page_shows_who_the_patient_is(morning_url: str, path: str) -> None:
    with Browser(morning_url) as browser:
        page = browser.opens(path)
    for secret in (PATIENT["account"], PATIENT["mrn"], "RIVERA", "ACC-666000"):
        assert secret not in page


def test_looking_for_a_usage_leads_to_its_thread(morning_url: str) -> None:
    with Browser(morning_url) as browser:
        status, headers, _ = browser.looks_for("key=U-1")
    assert (status, headers["location"]) == (303, "/trace/c/implant_usage/U-1")


def test_looking_for_an_account_lists_threads_and_never_repeats_the_account(morning_url: str) -> None:
    with Browser(morning_url) as browser:
        status, _, page = browser.looks_for(f"key={PATIENT['account']}")
    assert status == 200 and PATIENT["account"] not in page
    assert '"/trace/c/implant_usage/U-1"' in page and "8 threads" in words(page)


def test_an_account_is_not_found_by_address(morning_url: str) -> None:
    with Browser(morning_url) as browser:
        browser.opens(f"/trace/{PATIENT['account']}", 404)


def test_looking_for_nothing_or_for_a_book_is_answered_with_a_sentence(morning_url: str) -> None:
    with Browser(morning_url) as browser:
        assert browser.looks_for("key=%20")[0] == 400
        assert browser.looks_for("key=" + "x" * 5000)[0] == 413
        assert "is known by this key" in browser.looks_for("key=U-4040")[2]


def test_the_thread_is_drawn_with_a_column_for_each_system_and_a_line_for_each_hop(morning_url: str) -> None:
    with Browser(morning_url) as browser:
        page = browser.opens("/trace/c/implant_usage/U-5")
    lanes = re.findall(r'class="lanename \w+"[^>]*>([^<]+)<', page)
    assert lanes == ["Electronic health record", "Hilum", "Inventory platform", "ERP (Tryton)", "Patient billing"]
    drawn = len(re.findall(r'<g class="hop', page))
    assert drawn == len(re.findall(r'<li class="hop', page)) > 10
    assert "an earlier effect was found, nothing sent again" in page


def test_what_people_did_comes_from_a_column_of_their_own(morning_url: str) -> None:
    async def release(pool: asyncpg.Pool) -> None:
        async with pool.acquire() as connection, connection.transaction():
            await work_items.release(connection, 2, now=wall(), actor="person:maria")

    with Browser(morning_url) as browser:
        browser.run(lambda: release(browser.pool))
        page = browser.opens("/trace/c/implant_usage/U-2")
    lanes = re.findall(r'class="lanename \w+" x="(\d+)"[^>]*>([^<]+)<', page)
    assert [name for _, name in lanes] == ["Electronic health record", "People", "Hilum"]
    assert int(lanes[-1][0]) < 700, "what happens inside Hilum is written to its right"
    assert "Released from work item 2" in page and "person:maria" in page


def test_an_item_says_what_to_do_and_with_which_command(morning_url: str) -> None:
    with Browser(morning_url) as browser:
        page = browser.opens("/queue/2")
        browser.opens("/queue/999", 404)
    assert "<code>hilum queue release 2</code>" in page
    assert "<code>hilum crosswalk set</code>" in page
    assert page.count('href="/trace/c/implant_usage/U-') == 2


def test_what_people_and_systems_wrote_is_text_and_never_markup(morning_url: str) -> None:
    attack = '<script>alert("1")</script>`<img src=x>`'

    async def raise_item(pool: asyncpg.Pool) -> int:
        async with pool.acquire() as connection, connection.transaction():
            found = work_items.Exceptional(
                queue=attack, cause=attack, title=attack, remedy=attack, due_hours=-1, subject="c/implant_usage/U-6", at_risk_usd=Decimal("1.00"),
                detail=attack, owner=attack,
            )  # fmt: skip
            item = await work_items.join(connection, found, now=wall(), actor="system:flows")
            await connection.execute("UPDATE flow_case SET error = $1", attack)
            await connection.execute("UPDATE breaker SET last_error = $1", attack)
            return item

    with Browser(morning_url) as browser:
        item = browser.run(lambda: raise_item(browser.pool))
        pages = [browser.opens(p) for p in ("/", "/queue", f"/queue/{item}", "/trace/c/implant_usage/U-6")]
        pages.append(browser.looks_for(f"key={attack}")[2])
    for page in pages[:-1]:
        assert "&lt;script&gt;" in page
    for page in pages:
        assert "<script" not in page and "<img" not in page
    assert "late" in words(pages[1])


def test_an_empty_platform_is_described_in_sentences(database_url: str) -> None:
    with Browser(database_url) as browser:
        page = words(browser.opens("/"))
        queue = words(browser.opens("/queue"))
        browser.opens("/health", 503, peer="127.0.0.1")
    assert "Nothing waits for a person." in page and "No worker has run within the last hour" in page
    assert "No head has been signed yet" in page and "Something is broken" in page
    assert "Nothing waits for a person" in queue


def test_health_and_metrics_say_the_same_as_the_page(morning_url: str) -> None:
    registry = CollectorRegistry()
    Counter("tower_visits", "Counted by this process itself.", registry=registry).inc(3)
    with Browser(morning_url, registry) as browser:
        health = browser.opens("/health", peer="127.0.0.1")
        text = browser.opens("/metrics", peer="::1")
    assert '"verdict":"waiting"' in health and '"executors_running":1' in health
    for line in (
        'hilum_channel_received_total{system="ehr",transport="mllp"} 11.0',
        'hilum_cases{flow="implant_usage",state="waiting"} 3.0',
        'hilum_work_at_risk_usd{queue="item-master"} 11300.0',
        'hilum_system_deliveries_admitted{system="erp"} 0.0',
        'hilum_feed_parked_events{feed="accounts_to_billing",state="dead"} 1.0',
        "tower_visits_total 3.0",
    ):
        assert line in text.splitlines()


def test_a_database_that_does_not_answer_is_said_so_and_nothing_more(database_url: str) -> None:
    async def closed() -> asyncpg.Pool:
        pool = await open_pool(database_url, min_size=1, max_size=1)
        await pool.close()
        return pool

    pool = asyncio.run(closed())
    app = tower_app(
        pool, lakeshore(), wall, people=open_people(lakeshore(), pool, Path(), Policies({}), process="tower").people
    )
    browser = TestClient(
        app, raise_server_exceptions=False, client=("127.0.0.1", 50000), cookies={"hilum_page": "of-ana"}
    )
    answer = browser.get("/")
    assert answer.status_code == 503 and "The database does not answer" in answer.text
    assert "Traceback" not in answer.text and "asyncpg" not in answer.text
    assert browser.get("/health").json() == {"verdict": "broken", "database": False}


def test_styles_and_the_mark_are_served_from_here() -> None:
    pool: Any = None  # Files need no database, and nobody has to sign in for them.
    app = tower_app(
        pool, lakeshore(), wall, people=open_people(lakeshore(), pool, Path(), Policies({}), process="tower").people
    )
    browser = TestClient(app)
    assert "prefers-color-scheme: dark" in browser.get("/static/hilum.css").text
    assert browser.get("/static/mark.svg").headers["content-type"].startswith("image/svg+xml")
    assert browser.get("/static/../app.py").status_code == 404


def test_silence_counts_on_the_page_from_when_peers_take_a_worker_for_dead() -> None:
    assert SILENT_AFTER_SECONDS == DEAD_AFTER_SECONDS


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0042, "4 ms"),
        (1.24, "1.2 s"),
        (59, "59 s"),
        (200, "3 min"),
        (7300, "2 h"),
        (timedelta(days=3).total_seconds(), "3 d"),
    ],
)
def test_a_span_is_shown_in_the_unit_that_people_think_in(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


def test_a_bar_is_filled_and_shows_one_among_thousands() -> None:
    parts = stack({"done": 100_000, "waiting": 1, "ready": 0})
    assert [p.state for p in parts] == ["done", "waiting"]
    assert abs(sum(p.width for p in parts) - 1000) < 0.1 and parts[1].width > 5


def test_a_lone_backtick_is_only_a_backtick() -> None:
    assert prose("5` <deep>") == "5` &lt;deep&gt;"
    assert prose("run `a<b`") == "run <code>a&lt;b</code>"
