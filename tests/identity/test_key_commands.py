"""`hilum account service-key` and `hilum keys rotate-issuer`, given while the issuer runs."""

from __future__ import annotations

import asyncio
import stat
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from joserfc.jwk import ECKey, OKPKey
from tests.identity.site_parts import Site
from tests.identity_parts import wall
from typer.testing import CliRunner

from hilum import cli
from hilum.authoring.estate_identity import ServiceSpec
from hilum.cli import permission
from hilum.identity import service_keys
from hilum.identity.service_keys import RegisteredKeys
from hilum.identity.signing import SigningKeys
from hilum.runtime.policy_versions import put_in_force
from hilum.security.identity import Unauthenticated
from hilum.security.policies import Policies
from hilum.store.pool import open_pool
from hilum.testing.clock import StoppedClock

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"
LONGEST = timedelta(minutes=5, hours=1)


class Terminal:
    """Gives commands on the site's data directory, as somebody."""

    def __init__(self, site: Site, url: str, folder: Path) -> None:
        self.site, self.url, self.folder = site, url, folder
        self.estate = folder / "estate"
        (self.estate / "services").mkdir(parents=True)
        (self.estate / "estate.toml").write_text(
            '[estate]\nname = "lakeshore"\n[facilities.ST-MARY]\nname = "St. Mary"\n[owners]\nfinance = "Finance"\n'
            '[terminal]\nroles = []\npeople.ada = ["administrator"]\n'
        )
        for name, way in (("robot", "registered_key = true"), ("fixed", f'certificates = ["{"ab" * 32}"]')):
            (self.estate / "services" / f"{name}.toml").write_text(
                f'owner = "person:rob"\nroles = ["ap-service"]\naudience = ["erp"]\nexpires = 2099-01-01\n{way}\n'
            )

    def gives(self, *command: str, who: str = "ada", code: int = 0) -> str:
        app = cli.application(known_connectors=(), reconcile=lambda: None, contract_test=lambda: None)
        given = [*command, "--data", str(self.site.folder), "--estate", str(self.estate)]
        env = {"HILUM_DATABASE_URL": self.url, "HILUM_ACTOR": "", "COLUMNS": "250"}
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(permission, "login", lambda: who)
            # In a thread, for the issuer goes on meanwhile: it may be holding the lock that the command waits for.
            done = self.site.run(lambda: asyncio.to_thread(CliRunner().invoke, app, given, env=env))
        assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
        return done.output

    def makes_key(self, name: str = "robot.key.pem", *more: str, who: str = "ada") -> ECKey:
        """The private key that `service-key --out` wrote."""
        self.gives("account", "service-key", "robot", "--out", str(self.folder / name), *more, who=who)
        return ECKey.import_key((self.folder / name).read_bytes())


@pytest.fixture
def robot_site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "data"
    folder.mkdir()
    site = Site(database_url, folder)
    robot = ServiceSpec(
        name="robot", owner="person:rob", roles=("ap-service",), audience=("erp",), registered_key=True,
        expires=(wall() + timedelta(days=90)).date(),
    )  # fmt: skip
    site.estate = replace(site.estate, services={**site.estate.services, "robot": robot})
    with site:
        yield site


@pytest.fixture
def terminal(robot_site: Site, database_url: str, tmp_path: Path) -> Terminal:
    return Terminal(robot_site, database_url, tmp_path)


def proof(site: Site, key: ECKey, **more: Any) -> str:
    return site.assertion(key, iss="robot", sub="robot", **more)


# --- programs' keys ------------------------------------------------------------------------------------------------


def test_a_program_gets_its_token_by_the_key_that_its_owner_registered_and_not_before(terminal: Terminal) -> None:
    site = terminal.site
    key = terminal.makes_key()
    answer = site.proves(proof(site, key))
    assert answer.status_code == 200, answer.text
    assert site.caller(answer.json()["access_token"], ("erp",)).actor == "service:robot"
    assert site.proves(proof(site, ECKey.generate_key("P-256"))).status_code == 401

    file = terminal.folder / "robot.key.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secret = orjson.dumps(key.as_dict(private=True)["d"]).decode().strip('"')
    assert secret not in site.everything_stored() and "PRIVATE KEY" not in site.everything_stored()
    (entry,) = site.audited("service.key_registered")
    assert (entry["actor"], entry["subject"]) == ("person:ada", "service/robot")
    assert entry["detail"] == {"by": "person:ada", "key": key.thumbprint(), "keeps_others": False}


def test_without_a_registered_key_a_program_proves_nothing(robot_site: Site) -> None:
    answer = robot_site.proves(proof(robot_site, ECKey.generate_key("P-256")))
    assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})


def test_an_owner_brings_a_public_key_of_their_own_by_pem_or_jwk(terminal: Terminal) -> None:
    own = ECKey.generate_key("P-256")
    (terminal.folder / "own.pem").write_bytes(own.as_pem(private=False))
    terminal.gives("account", "service-key", "robot", "--public-key", str(terminal.folder / "own.pem"))
    assert terminal.site.proves(proof(terminal.site, own)).status_code == 200
    other = OKPKey.generate_key("Ed25519", {"kid": "autumn"})
    (terminal.folder / "other.json").write_bytes(orjson.dumps(other.as_dict(private=False)))
    said = terminal.gives("account", "service-key", "robot", "--public-key", str(terminal.folder / "other.json"))
    assert "by the key autumn from now on" in said


def test_a_new_key_ends_the_others_unless_they_are_kept(terminal: Terminal) -> None:
    site, at = terminal.site, [0.0]
    first = terminal.makes_key("first.pem")
    keys = RegisteredKeys(site.pool, "robot", monotonic=lambda: at[0])
    assert site.run(lambda: keys.find(None, "ES256")).kid == first.thumbprint()

    second = terminal.makes_key("second.pem")
    at[0] = 2.5
    assert site.run(lambda: keys.find(None, "ES256")).kid == second.thumbprint()
    assert site.run(lambda: keys.find(first.thumbprint(), "ES256")) is None

    third = terminal.makes_key("third.pem", "--keep-others")
    at[0] = 5.0
    assert site.run(lambda: keys.find(None, "ES256")) is None, "of two keys an assertion names its own"
    for key in (second, third):
        assert site.run(lambda key=key: keys.find(key.thumbprint(), "ES256")) is not None
    assert [e["detail"]["keys"] for e in site.audited("service.keys_ended")] == [[first.thumbprint()]]


def test_a_key_that_ended_is_registered_again_by_whoever_still_has_it(terminal: Terminal) -> None:
    key = terminal.makes_key()
    terminal.gives("account", "service-key", "robot", "--end")
    (terminal.folder / "again.pem").write_bytes(key.as_pem(private=False))
    terminal.gives("account", "service-key", "robot", "--public-key", str(terminal.folder / "again.pem"))
    assert terminal.site.proves(proof(terminal.site, key)).status_code == 200


def test_ending_its_keys_also_calls_back_the_tokens_a_program_has(terminal: Terminal) -> None:
    site = terminal.site
    token = site.proves(proof(site, terminal.makes_key())).json()["access_token"]
    assert site.caller(token, ("erp",)).id == "robot"
    assert "1 keys of robot have ended" in terminal.gives("account", "service-key", "robot", "--end")
    site.looks_for_revocations()
    with pytest.raises(Unauthenticated):
        site.caller(token, ("erp",))


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ("robot", 2, "give one of --out, --public-key and --end"),
        ("robot --out {folder}/a.pem --end", 2, "give one of"),
        ("robot --out {estate}/services/robot.key.pem", 1, "is in the estate, which is shared"),
        ("robot --out {folder}/there.pem", 2, "a private key is never overwritten"),
        ("robot --out {folder}/nowhere/a.pem", 2, "cannot be written"),
        ("robot --public-key {folder}/there.pem", 2, "neither a PEM public key nor a JWK Set"),
        ("robot --public-key {folder}/private.pem", 2, "is a private key: keep it with the program"),
        ("robot --public-key {folder}/private.json", 2, "holds a private key"),
        ("robot --public-key {folder}/secret.json", 2, "holds a private key"),
        ("robot --public-key {folder}/two.json", 2, "does not hold exactly one key"),
        ("robot --public-key {folder}/named.json", 2, "`kid` that is no name"),
        ("fixed --out {folder}/a.pem", 1, "fixed proves itself otherwise"),
        ("nobody --out {folder}/a.pem", 1, "the estate has no service nobody; it has fixed, robot"),
    ],
)
def test_what_cannot_be_registered_is_refused_and_nothing_is_written(
    terminal: Terminal, arguments: str, code: int, told: str
) -> None:
    key = ECKey.generate_key("P-256")
    public = key.as_dict(private=False)
    for name, content in {
        "there.pem": b"something else", "private.pem": key.as_pem(private=True),
        "private.json": orjson.dumps(key.as_dict(private=True)), "secret.json": b'{"kty": "oct", "k": "c2VjcmV0"}',
        "two.json": orjson.dumps({"keys": [public, ECKey.generate_key("P-256").as_dict(private=False)]}),
        "named.json": orjson.dumps({**public, "kid": "x\ny"}),
    }.items():  # fmt: skip
        (terminal.folder / name).write_bytes(content)
    given = arguments.format(folder=terminal.folder, estate=terminal.estate).split()
    assert told in terminal.gives("account", "service-key", *given, code=code)
    assert terminal.site.audited("service.key_registered") == []
    assert (
        not (terminal.folder / "a.pem").exists() and (terminal.folder / "there.pem").read_bytes() == b"something else"
    )
    assert not (terminal.estate / "services" / "robot.key.pem").exists()


def test_the_owner_registers_a_key_and_nobody_else_without_a_right_to_do_so(terminal: Terminal) -> None:
    """By Lakeshore's policies: whoever owns a service looks after its keys."""
    policies = Policies({f"policies/{f.name}": f.read_text() for f in (LAKESHORE / "policies").glob("*.cedar*")})

    async def put() -> None:
        async with terminal.site.pool.acquire() as connection, connection.transaction():
            await put_in_force(connection, policies, estate="lakeshore", now=wall())

    terminal.site.run(put)
    terminal.makes_key("robs.pem", who="rob")
    denied = terminal.gives(
        "account", "service-key", "robot", "--out", str(terminal.folder / "mallorys.pem"), who="mallory", code=1
    )
    assert "person:mallory may not update this Key" in denied
    assert not (terminal.folder / "mallorys.pem").exists()
    held = terminal.site.run(lambda: held_by(terminal.site, "robot"))
    assert held == {"person:rob"}


async def held_by(site: Site, service: str) -> frozenset[str]:
    async with site.pool.acquire() as connection:
        return await service_keys.behind(connection, [service], now=wall())


# --- the issuer's keys ---------------------------------------------------------------------------------------------


def kid_of(token: str) -> str:
    header = token.partition(".")[0]
    return str(orjson.loads(urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"])


def test_a_rotation_at_the_terminal_keeps_old_tokens_good_and_both_keys_published(terminal: Terminal) -> None:
    site = terminal.site
    old = site.service_token()
    said = orjson.loads(terminal.gives("keys", "rotate-issuer", "--json"))
    site.run(site.issuer.identity.keys.maintain)  # What the running issuer does by itself within two seconds.
    new = site.service_token()

    assert kid_of(new) == said["key"] != kid_of(old)
    assert site.caller(old, ("erp",)).id == site.caller(new, ("erp",)).id == "ap-bot"
    published = {key["kid"] for key in site.opens(f"{site.url}/jwks").json()["keys"]}
    assert {kid_of(old), kid_of(new)} <= published and said["published"] == len(published)
    assert [file.stem for file in (site.folder / "identity").glob("*.pem")] == [said["key"]]
    made = site.audited("key.made")[-1]
    assert (made["actor"], made["subject"]) == ("person:ada", f"key/{said['key']}")
    assert made["detail"] == {"by": "person:ada", "distrusts_others": False}


def test_a_stolen_key_is_distrusted_at_the_terminal(terminal: Terminal) -> None:
    site = terminal.site
    stolen = site.service_token()
    assert site.caller(stolen, ("erp",)).id == "ap-bot", "this process has believed it once"
    assert "Tokens of older keys are refused" in terminal.gives("keys", "rotate-issuer", "--distrust")
    site.run(site.issuer.identity.keys.maintain)
    with pytest.raises(Unauthenticated, match="a key that its issuer does not have"):
        site.caller(stolen, ("erp",))
    assert len(site.opens(f"{site.url}/jwks").json()["keys"]) == 1


def test_where_no_issuer_ever_ran_nothing_is_rotated(terminal: Terminal) -> None:
    before = terminal.site.opens(f"{terminal.site.url}/jwks").json()
    terminal.site.folder = terminal.folder / "elsewhere"
    terminal.site.folder.mkdir()
    assert "no issuer has ever run" in terminal.gives("keys", "rotate-issuer", code=2)
    assert terminal.site.opens(f"{terminal.site.url}/jwks").json() == before


def test_the_old_key_leaves_the_published_ones_when_its_longest_token_has_expired(
    database_url: str, tmp_path: Path
) -> None:
    clock, at = StoppedClock(), [0.0]

    async def story() -> None:
        async with await open_pool(database_url, min_size=1, max_size=2) as pool:
            signing, verifying = (
                SigningKeys(
                    pool,
                    folder,
                    clock=clock,
                    monotonic=lambda: at[0],
                    key_lives=timedelta(days=30),
                    longest_token=LONGEST,
                )
                for folder in (tmp_path / "identity", None)
            )
            await signing.maintain()
            ((old,), _) = (await signing.published())["keys"], await verifying.published()
            new = await signing.rotate(by="person:ada")

            assert await verifying.find(new, "ES256") is None, "it has read the keys just now"
            at[0] += 0.3
            assert await verifying.find(new, "ES256") is not None, "one that is not known is looked for again"

            clock.passes(seconds=LONGEST.total_seconds() - 1)
            at[0] += LONGEST.total_seconds()
            assert {key["kid"] for key in (await verifying.published())["keys"]} == {old["kid"], new}
            assert await verifying.find(old["kid"], "ES256") is not None
            clock.passes(seconds=2)
            at[0] += 3
            assert {key["kid"] for key in (await verifying.published())["keys"]} == {new}
            assert await verifying.find(old["kid"], "ES256") is None

    asyncio.run(story())
