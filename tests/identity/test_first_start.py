"""From nothing to somebody who reads the page: the platform's own processes, its link, its sign-in."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import httpx2
from tests.identity_parts import PASSWORD, Person

ESTATE = """
[estate]
name = "small"
title = "Small Clinic"
[facilities.NORTH]
name = "North"
[facilities.SOUTH]
name = "South"
[owners]
integration = "Integration team"
[queues.integration]
owner = "integration"
[queues.refusals]
owner = "integration"
"""


async def _first_sign_in(link: str, page: str) -> str:
    """What the administrator sees of the overview."""
    person = Person()
    client = person.client
    welcome = await client.get(link)
    assert welcome.status_code == 200 and "admin" in welcome.text
    done = await client.post(link, data={"password": PASSWORD, "again": PASSWORD})
    assert "is set" in done.text
    assert (await client.get(link)).status_code == 404

    asked = await client.get(page)
    assert asked.status_code == 303
    begun = await client.get(f"{page.rstrip('/')}{asked.headers['location']}")
    answer = await person.signs_in_at(begun.headers["location"], "admin")
    arrived = await client.get(answer.headers["location"])
    assert arrived.status_code == 200 and "Signed in" in arrived.text
    seen: httpx2.Response = await client.get(page)
    await person.leaves()
    assert seen.status_code == 200
    return seen.text


async def _facilities_of(login: str, database_url: str) -> list[str]:
    connection = await asyncpg.connect(database_url)
    try:
        found: list[str] = await connection.fetchval("SELECT facilities FROM hilum.account WHERE id = $1", login)
    finally:
        await connection.close()
    return found


def test_the_first_start_prints_a_link_behind_which_the_page_is_reached(tmp_path: Path, database_url: str) -> None:
    estate = tmp_path / "estate"
    estate.mkdir()
    (estate / "estate.toml").write_text(ESTATE)
    command = [
        sys.executable,
        "-m",
        "hilum.app",
        "up",
        "--json",
        "--estate",
        str(estate),
        "--data",
        str(tmp_path / "data"),
    ]
    command += ["--tower-port", "0", "--webhook-port", "0", "--gateway-port", "0"]
    surroundings = {**os.environ, "HILUM_DATABASE_URL": database_url}
    platform = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings)
    try:
        assert platform.stdout is not None
        line = platform.stdout.readline()
        assert line, platform.stderr.read() if platform.stderr is not None else ""
        says = json.loads(line)
        page = asyncio.run(_first_sign_in(says["first_sign_in"], says["addresses"]["page"]))
        assert "How it stands" in page and re.search(r'title="person:admin, administrator"', page)
        assert asyncio.run(_facilities_of("admin", database_url)) == ["NORTH", "SOUTH"]
        logs = "".join(log.read_text() for log in (tmp_path / "data" / "logs").glob("*.log"))
        assert says["first_sign_in"].rpartition("/")[2] not in logs and PASSWORD not in logs
    finally:
        platform.send_signal(signal.SIGTERM)
        platform.communicate(timeout=30)
    assert platform.returncode == 0
