"""Tokens that somebody made up, changed, stole or kept too long. Each is refused, and the challenge says why (RFC 6750)."""

from __future__ import annotations

import ast
import asyncio
import hmac
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from hilum.authoring.caller import Caller
from hilum.authoring.estate import Estate
from hilum.authoring.estate_identity import ClaimNames, Grant, IdentitySpec, IssuerSpec, ServiceSpec
from hilum.security.identity import Authenticator, HttpKeys, IdentityAway, PublicKeys, Revocations, Unauthenticated
from hilum.security.identity.revocations import revoke
from hilum.store.pool import open_pool

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ISSUER = "https://login.lakeshore.example"
KEY = ECKey.generate_key("P-256", {"kid": "spring"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
OTHERS = ECKey.generate_key("P-256", {"kid": "spring"})
PUBLISHED = {"keys": [{**key.as_dict(private=False), "use": "sig"} for key in (KEY, RSA, ED)]}


class NothingRevoked:
    """Revocations as the authenticator asks them; here the test says what they are."""

    def __init__(self) -> None:
        self.version = 1
        self.at: dict[str, float] = {}

    async def refuse_when_blind(self) -> None:
        pass

    def revoked(self, subjects: Any, issued_at: float) -> bool:
        return any(issued_at <= self.at[s] for s in subjects if s in self.at)


def estate() -> Estate:
    spec = IssuerSpec(
        url=ISSUER, audience=("erp",), claims=ClaimNames(groups="realm_access.roles", supplier="https://lakeshore.example/supplier"),
        groups={"AP": Grant(roles=("ap-analyst",), facilities=("ST-MARY",))},
    )  # fmt: skip
    service = ServiceSpec(
        name="ap-bot", owner="finance", roles=("ap-service",), expires=date(2026, 6, 1), issuer="entra", subject="app-1"
    )
    return Estate(
        Path("unused"),
        "lakeshore",
        identity=IdentitySpec(issuers={"entra": spec}, sign_in="hilum"),
        services={"ap-bot": service},
    )


class Door:
    """An authenticator whose clock and keys the test holds."""

    def __init__(self, keys: Any = None) -> None:
        self.now = NOON
        self.revocations = NothingRevoked()
        found = keys if keys is not None else PublicKeys(PUBLISHED)
        self.authenticator = Authenticator(estate(), {"entra": found}, self.revocations, clock=lambda: self.now)  # type: ignore[arg-type]

    def caller(self, token: str, audience: tuple[str, ...] = ("erp",), certificate: str | None = None) -> Caller:
        return asyncio.run(
            self.authenticator.authenticate([f"Bearer {token}"], audience=audience, certificate=certificate)
        )

    def refusal(self, token: str, **how: Any) -> str:
        with pytest.raises(Unauthenticated) as refused:
            self.caller(token, **how)
        assert refused.value.status == 401
        assert 'error="invalid_token"' in refused.value.challenge
        for part in token.split("."):
            assert len(part) < 8 or part not in refused.value.challenge
        return refused.value.description


def claims(**changes: Any) -> dict[str, Any]:
    at = int(NOON.timestamp())
    given = {
        "iss": ISSUER, "sub": "nora", "aud": "erp", "iat": at, "exp": at + 300, "realm_access": {"roles": ["AP", "OTHER"]},
        "https://lakeshore.example/supplier": "ORTHO", "sid": "S-1",
    } | changes  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}


def token(key: Any = KEY, alg: str = "ES256", header: dict[str, Any] | None = None, **changes: Any) -> str:
    head = {"alg": alg, "typ": "at+jwt", "kid": key.kid} | (header or {})
    return jwt.encode(
        {n: v for n, v in head.items() if v is not None},
        claims(**changes),
        key,
        algorithms=[alg],
        registry=_anything(alg),
    )


def _anything(alg: str) -> Any:
    from joserfc.jws import JWSRegistry

    return JWSRegistry(algorithms=[alg], strict_check_header=False)


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def handmade(header: dict[str, Any], body: dict[str, Any], signature: bytes = b"") -> str:
    return f"{b64(json.dumps(header).encode())}.{b64(json.dumps(body).encode())}.{b64(signature)}"


def test_a_good_token_is_a_caller_by_the_estates_mapping_and_nothing_else() -> None:
    caller = Door().caller(token(roles=["administrator"], facilities=["NORTH-POINT"], groups=["AP"]))
    assert caller == Caller(
        "person", "nora@entra", issuer=ISSUER, roles=frozenset({"ap-analyst"}), facilities=frozenset({"ST-MARY"}), supplier="ORTHO"
    )  # fmt: skip
    assert caller.session == "S-1"


@pytest.mark.parametrize(("key", "alg"), [(KEY, "ES256"), (RSA, "RS256"), (RSA, "PS256"), (ED, "EdDSA")])
def test_every_algorithm_of_the_list_verifies(key: Any, alg: str) -> None:
    assert Door().caller(token(key, alg)).id == "nora@entra"


def signed_with_the_public_key() -> str:
    """RS256 turned into HS256, with what everybody knows as the secret (CVE-2015-9235)."""
    unsigned = handmade({"alg": "HS256", "typ": "at+jwt", "kid": "rsa"}, claims())[:-1]
    return f"{unsigned}.{b64(hmac.digest(RSA.as_pem(private=False), unsigned.encode(), 'sha256'))}"


FORGED: dict[str, Callable[[], str]] = {
    "alg none": lambda: handmade({"alg": "none", "typ": "at+jwt", "kid": "spring"}, claims()),
    "alg None, in other letters": lambda: handmade({"alg": "nOnE", "typ": "at+jwt", "kid": "spring"}, claims()),
    "no alg": lambda: handmade({"typ": "at+jwt", "kid": "spring"}, claims()),
    "alg is a list": lambda: handmade({"alg": ["ES256"], "typ": "at+jwt", "kid": "spring"}, claims(), b"x" * 64),
    "HS256 with the public key as the secret": signed_with_the_public_key,
    "another's signature under our key's name": lambda: token(OTHERS),
    "no signature": lambda: token().rpartition(".")[0] + ".",
    "a signature of zeros (CVE-2022-21449)": lambda: token().rpartition(".")[0] + "." + b64(bytes(64)),
    "changed claims": lambda: _changed(token()),
    "the kid of another key": lambda: token(header={"kid": "rsa"}),
    "an unknown kid": lambda: token(header={"kid": "summer"}),
    "no kid where there are several keys of the kind": lambda: token(OTHERS, header={"kid": None}),
    "a kid that is a path": lambda: token(OTHERS, header={"kid": "../../dev/null"}),
    "a kid that is SQL": lambda: token(OTHERS, header={"kid": "' OR 1=1 --"}),
    "RS384, which is not on the list": lambda: token(RSA, "RS384"),
    "its own key in jwk": lambda: token(OTHERS, header={"jwk": OTHERS.as_dict(private=False)}),
    "its own key behind jku": lambda: token(OTHERS, header={"jku": "https://evil.example/jwks"}),
    "its own key behind x5u": lambda: token(OTHERS, header={"x5u": "https://evil.example/cert"}),
    "its own key in x5c": lambda: token(OTHERS, header={"x5c": ["MIIB"]}),
    "critical headers nobody understands": lambda: token(header={"crit": ["kid"]}),
    "an unencoded payload": lambda: handmade({"alg": "ES256", "typ": "at+jwt", "kid": "spring", "b64": False, "crit": ["b64"]}, claims(), b"x" * 64),
    "five parts, as if encrypted": lambda: token() + ".a.b",
    "two parts": lambda: token().rpartition(".")[0],
    "no JSON": lambda: "aaaa.bbbb.cccc",
    "claims that are a list": lambda: f"{b64(b'{}')}.{b64(b'[]')}.",
    "deep JSON": lambda: f"{b64(b'[' * 3000)}.{b64(b'[' * 1500)}.x",
    "an ID token": lambda: token(header={"typ": "JWT"}),
    "no type": lambda: token(header={"typ": None}),
    "an assertion": lambda: token(header={"typ": "client-authentication+jwt"}),
}  # fmt: skip

CLAIMED: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example"},
    "the issuer with a slash more": {"iss": ISSUER + "/"},
    "no issuer": {"iss": None},
    "issuers as a list": {"iss": [ISSUER]},
    "another audience": {"aud": "billing"},
    "audiences without ours": {"aud": ["billing", "portal"]},
    "no audience": {"aud": None},
    "an empty audience": {"aud": []},
    "an audience that is a number": {"aud": [1, "erp"]},
    "an audience that only begins like ours": {"aud": "erp-evil"},
    "expired": {"iat": int(NOON.timestamp()) - 600, "exp": int(NOON.timestamp()) - 31},
    "not valid yet": {"nbf": int(NOON.timestamp()) + 60},
    "issued in the future": {"iat": int(NOON.timestamp()) + 60, "exp": int(NOON.timestamp()) + 300},
    "no end": {"exp": None},
    "an end that is text": {"exp": "9999999999"},
    "an end that is true": {"exp": True},
    "no beginning": {"iat": None},
    "a life of a year": {"exp": int(NOON.timestamp()) + 31_536_000},
    "a life of none": {"exp": int(NOON.timestamp())},
    "no subject": {"sub": None},
    "a subject that is a number": {"sub": 7},
    "a subject as long as a book": {"sub": "x" * 300},
    "a subject that breaks lines": {"sub": "nora\nperson:boss"},
    "bound to a key that is not checked here": {"cnf": {"jkt": "abc"}},
    "bound to nothing": {"cnf": {}},
    "bound to text": {"cnf": "x5t"},
}


@pytest.mark.parametrize("attack", FORGED)
def test_a_forged_token_is_refused(attack: str) -> None:
    Door().refusal(FORGED[attack]())


@pytest.mark.parametrize("attack", CLAIMED)
def test_a_signed_token_that_claims_too_much_or_too_little_is_refused(attack: str) -> None:
    Door().refusal(token(**CLAIMED[attack]))


def _changed(good: str) -> str:
    head, body, signature = good.split(".")
    said = orjson.loads(urlsafe_b64decode(body + "=="))
    said["realm_access"] = {"roles": ["ADMIN"]}
    return f"{head}.{b64(orjson.dumps(said))}.{signature}"


def test_a_token_as_long_as_a_book_is_not_even_looked_at() -> None:
    assert Door().refusal(token(padding="x" * 9000)) == "the token is too large"


def test_infinity_and_numbers_beyond_every_clock_are_no_times() -> None:
    for raw in ("1e400", "Infinity", "NaN", "-1", "1" + "0" * 30):
        text = json.dumps(claims(exp="HERE")).replace('"HERE"', raw)
        head = b64(json.dumps({"alg": "ES256", "typ": "at+jwt", "kid": "spring"}).encode())
        Door().refusal(f"{head}.{b64(text.encode())}.{b64(bytes(64))}")
        signed = jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": "spring"}, claims(exp=float("inf")), KEY)
        Door().refusal(signed)


@pytest.mark.parametrize(
    ("headers", "status", "challenge"),
    [
        ([], 401, 'Bearer realm="hilum"'),
        (["Basic YW5hOnNlY3JldA=="], 401, 'Bearer realm="hilum"'),
        (["Bearer"], 401, "invalid"),
        (["Bearer "], 400, "invalid_request"),
        (["Bearer a b"], 400, "invalid_request"),
        (["Bearer é"], 400, "invalid_request"),
        (["Bearer x.y.z", "Bearer x.y.z"], 400, "invalid_request"),
        (["bearer x.y.z"], 401, "invalid_token"),
    ],
)
def test_headers_that_hold_no_token_are_answered_in_the_words_of_rfc_6750(
    headers: list[str], status: int, challenge: str
) -> None:
    with pytest.raises(Unauthenticated) as refused:
        asyncio.run(Door().authenticator.authenticate(headers, audience=("erp",)))
    if challenge != "invalid":
        assert refused.value.status == status and challenge in refused.value.challenge
    assert "ana" not in refused.value.challenge and "\n" not in refused.value.challenge


def test_a_token_bound_to_a_certificate_is_nothing_without_it() -> None:
    bound, door = token(cnf={"x5t#S256": "thumb"}), Door()
    assert door.caller(bound, certificate="thumb").id == "nora@entra"
    assert "certificate" in door.refusal(bound, certificate="another")
    assert "certificate" in door.refusal(bound)


def test_a_known_token_is_asked_each_time_for_its_end_its_audience_and_its_revocation() -> None:
    door, good = Door(), token()
    assert door.caller(good).id == "nora@entra"
    assert "audience" in door.refusal(good, audience=("billing",)), "believed at one door, not at another"
    door.revocations.at["session:S-1"], door.revocations.version = NOON.timestamp(), 2
    assert "called back" in door.refusal(good)
    door.revocations.at.clear()
    door.revocations.version = 3
    assert door.caller(good).id == "nora@entra"
    door.now = NOON + timedelta(seconds=331)
    assert "expired" in door.refusal(good)


class ChangingKeys:
    """An issuer's keys, which the test exchanges."""

    def __init__(self) -> None:
        self.now = PublicKeys(PUBLISHED)

    async def find(self, kid: str | None, algorithm: str) -> Any:
        return await self.now.find(kid, algorithm)


@pytest.mark.parametrize("header", [{}, {"kid": None}], ids=["by its name", "by being the only one"])
def test_a_known_token_is_refused_once_its_key_is_gone_or_another_goes_by_its_name(header: dict[str, Any]) -> None:
    keys = ChangingKeys()
    door, good = Door(keys), token(header=header)
    assert door.caller(good).id == "nora@entra"
    keys.now = PublicKeys({"keys": [OTHERS.as_dict(private=False)]})
    assert "signature" in door.refusal(good)
    keys.now = PublicKeys({"keys": PUBLISHED["keys"][1:]})
    assert "a key that its issuer does not have" in door.refusal(good)
    keys.now = PublicKeys(PUBLISHED)
    assert door.caller(good).id == "nora@entra", "the same key, read anew"


def test_a_service_of_another_issuer_is_what_the_estate_says_until_its_day() -> None:
    door = Door()
    bot = token(sub="app-1")
    caller = door.caller(bot)
    assert (caller.actor, caller.roles, caller.supplier) == ("service:ap-bot", {"ap-service"}, None)
    door.now = datetime(2026, 6, 1, tzinfo=UTC)
    late = int(door.now.timestamp())
    assert "service account has expired" in door.refusal(token(sub="app-1", iat=late, exp=late + 300))


def test_a_person_cannot_be_named_like_one_of_another_issuer() -> None:
    spec = estate()
    identity = spec.identity.model_copy(
        update={
            "sign_in": "entra",
            "issuers": {
                "entra": spec.identity.issuers["entra"],
                "partner": IssuerSpec(url="https://partner.example", audience=("erp",)),
            },
        }
    )
    spec.identity = identity
    door = Door()
    keys = {"entra": PublicKeys(PUBLISHED), "partner": PublicKeys(PUBLISHED)}
    door.authenticator = Authenticator(spec, keys, door.revocations, clock=lambda: NOON)  # type: ignore[arg-type]
    assert door.caller(token()).actor == "person:nora"
    assert door.caller(token(iss="https://partner.example", sub="bob")).actor == "person:bob@partner"
    assert "who this is" in door.refusal(token(sub="bob@partner"))


# --- keys --------------------------------------------------------------------------------------------------------


class Wire:
    """A provider's documents, and how often they were asked for."""

    def __init__(self) -> None:
        self.jwks: dict[str, Any] = PUBLISHED
        self.away = False
        self.asked: list[str] = []
        self.now = 0.0

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        await asyncio.sleep(0)
        if self.away:
            raise OSError("away")
        if url.endswith("/.well-known/openid-configuration"):
            return orjson.dumps({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks"})
        return orjson.dumps(self.jwks)

    def keys(self) -> HttpKeys:
        return HttpKeys(ISSUER, self.fetch, monotonic=lambda: self.now)


def test_a_storm_of_unknown_key_names_is_one_question_to_the_provider() -> None:
    wire = Wire()

    async def storm() -> None:
        keys = wire.keys()
        assert await keys.find("spring", "ES256") is not None
        for second in range(29):
            wire.now = float(second)
            found = await asyncio.gather(*(keys.find(f"forged-{second}-{n}", "ES256") for n in range(20)))
            assert not any(found)

    asyncio.run(storm())
    assert len(wire.asked) == 2, "discovery and keys, once"


def test_a_new_key_is_found_and_an_old_one_that_was_taken_away_verifies_no_more() -> None:
    wire = Wire()

    async def story() -> None:
        keys = wire.keys()
        assert await keys.find("spring", "ES256") is not None
        summer = ECKey.generate_key("P-256", {"kid": "summer"})
        wire.jwks = {"keys": [summer.as_dict(private=False)]}
        wire.now = 31
        assert await keys.find("summer", "ES256") is not None
        assert await keys.find("spring", "ES256") is None

    asyncio.run(story())


def test_the_providers_absence_is_survived_for_a_day_and_not_for_ever() -> None:
    wire = Wire()

    async def story() -> None:
        keys = wire.keys()
        assert await keys.find("spring", "ES256") is not None
        wire.away = True
        wire.now = 80_000
        assert await keys.find("spring", "ES256") is not None
        wire.now = 90_000
        with pytest.raises(IdentityAway):
            await keys.find("spring", "ES256")

    asyncio.run(story())


def test_a_provider_never_seen_is_no_reason_to_believe_or_to_refuse() -> None:
    wire = Wire()
    wire.away = True
    with pytest.raises(IdentityAway):
        Door(wire.keys()).caller(token())


def test_a_discovery_document_of_another_issuer_or_with_keys_over_plain_http_is_not_used() -> None:
    for document in (
        {"issuer": "https://evil.example", "jwks_uri": f"{ISSUER}/jwks"},
        {"issuer": ISSUER, "jwks_uri": "http://login.lakeshore.example/jwks"},
        {"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"},
        {"issuer": ISSUER},
    ):

        async def fetch(url: str, said: dict[str, str] = document) -> bytes:
            return orjson.dumps(said if "well-known" in url else PUBLISHED)

        with pytest.raises(IdentityAway):
            asyncio.run(HttpKeys(ISSUER, fetch, monotonic=lambda: 0.0).find("spring", "ES256"))


def test_keys_that_are_weak_secret_or_for_encryption_verify_nothing() -> None:
    weak = RSAKey.generate_key(1024, {"kid": "weak"}).as_dict(private=False)
    secret = OctKey.generate_key(256, {"kid": "secret"}).as_dict(private=True)
    sealing = {**KEY.as_dict(private=False), "kid": "sealing", "use": "enc"}
    curve = ECKey.generate_key("secp256k1", {"kid": "curve"}).as_dict(private=False)
    keys = PublicKeys({"keys": [weak, secret, sealing, curve, "rubbish", {"kty": "RSA"}]})
    assert len(keys) == 0


# --- revocations in the database -----------------------------------------------------------------------------------


def test_a_revocation_of_one_process_is_seen_by_another_at_its_next_look(database_url: str) -> None:
    async def story() -> None:
        pool = await open_pool(database_url, min_size=1, max_size=2)
        seen = Revocations(pool, clock=lambda: NOON, monotonic=time.monotonic)
        await seen.run_once()
        assert not seen.revoked(["person:ana"], NOON.timestamp() - 5)
        async with pool.acquire() as connection, connection.transaction():
            await revoke(connection, "person:ana", now=NOON, by="person:boss", reason="left")
        assert await seen.run_once() is True
        assert seen.revoked(["person:ana"], NOON.timestamp() - 5)
        assert not seen.revoked(["person:ana"], NOON.timestamp() + 5), "who signs in again later is in again"
        assert await seen.run_once() is False
        await pool.close()

    asyncio.run(story())


def test_without_sight_of_revocations_nobody_is_believed(database_url: str) -> None:
    async def story() -> None:
        pool = await open_pool(database_url, min_size=1, max_size=1)
        clock = [0.0]
        seen = Revocations(pool, clock=lambda: NOON, monotonic=lambda: clock[0])
        await seen.refuse_when_blind()
        await pool.close()
        clock[0] = 10.0
        await seen.refuse_when_blind()
        clock[0] = 16.0
        with pytest.raises(IdentityAway):
            await seen.refuse_when_blind()

    asyncio.run(story())


def test_a_token_seen_before_costs_microseconds() -> None:
    door, good = Door(), token()

    async def many() -> float:
        await door.authenticator.authenticate([f"Bearer {good}"], audience=("erp",))
        begun = time.process_time()
        for _ in range(2000):
            await door.authenticator.authenticate([f"Bearer {good}"], audience=("erp",))
        return (time.process_time() - begun) / 2000

    assert asyncio.run(many()) < 100e-6, "a signature takes longer than that alone"


# --- timing --------------------------------------------------------------------------------------------------------

SOURCE = Path(__file__).parents[2] / "src" / "hilum"
WATCHED = ("security", "identity", "transports/webhook", "gateway", "tower")
SECRET_NAMES = ("secret", "digest", "signature", "password", "hmac", "thumbprint", "csrf", "challenge", "verifier", "cookie", "mac")  # fmt: skip


def _name(node: ast.expr) -> str:
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return node.attr
        case ast.Subscript(slice=ast.Constant(value=str() as text)):
            return text
        case ast.Call():
            return " ".join([_name(node.func), *(a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))])  # fmt: skip
    return ""


def _compares_a_secret(node: ast.AST) -> bool:
    if not isinstance(node, ast.Compare) or not any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
        return False
    sides = [node.left, *node.comparators]
    if any(isinstance(side, ast.Constant) for side in sides):
        return False
    words = {word for side in sides for word in _name(side).lower().replace("-", "_").replace(" ", "_").split("_")}
    return bool(words & set(SECRET_NAMES))


def test_secrets_are_never_compared_with_an_equals_sign() -> None:
    places = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for folder in WATCHED
        for path in sorted((SOURCE / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if _compares_a_secret(node)
    ]
    assert not places, "use hmac.compare_digest, or is_same of hilum.security.identity.compare"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("given.secret == kept", True),
        ("row['digest'] != digest", True),
        ("sent.get('password') == again", True),
        ("kind == 'secret'", False),
        ("hmac.compare_digest(digest, kept)", False),
    ],
)
def test_such_a_comparison_is_recognised(code: str, found: bool) -> None:
    assert any(_compares_a_secret(node) for node in ast.walk(ast.parse(code))) is found
