"""Programs get tokens by their keys and certificates: once for each proof, for what the estate says, until their day."""

from __future__ import annotations

import asyncio
import secrets
from base64 import b64encode
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, OctKey
from tests.identity.site_parts import Site, base64url
from tests.identity_parts import issuer, wall

from hilum.identity.signing import SigningKeys
from hilum.security.identity import Unauthenticated

SCANNER = b"the certificate of the scanner"  # Its bytes; what is in it is the TLS layer's business.


def test_a_service_signs_an_assertion_and_gets_a_short_token_for_its_doors(site: Site) -> None:
    token = site.service_token()
    caller = site.caller(token, ("erp",))
    assert (caller.actor, caller.roles, caller.facilities) == ("service:ap-bot", {"ap-service"}, {"ST-MARY"})
    assert site.caller(token, ("invoices",)).id == "ap-bot"
    with pytest.raises(Unauthenticated, match="audience"):
        site.caller(token, ("portal",))
    granted = site.audited("token.granted")
    assert [(e["actor"], e["detail"]["audience"]) for e in granted] == [("service:ap-bot", ["erp", "invoices"])]


def test_a_token_for_one_door_is_for_one_door_and_never_for_more_than_the_estate_says(site: Site) -> None:
    narrow = site.service_token(resource="erp")
    with pytest.raises(Unauthenticated, match="audience"):
        site.caller(narrow, ("invoices",))
    assert site.proves(site.assertion(), resource="stock").json() == {"error": "invalid_target"}


@pytest.mark.parametrize(
    ("attack", "changes"),
    [
        ("for another server", {"aud": "https://evil.example/token"}),
        ("for several servers", {"aud": ["https://evil.example", "OURS"]}),
        ("for nobody", {"aud": None}),
        ("without an end", {"exp": None}),
        ("for an hour", {"exp": int(wall().timestamp()) + 3600}),
        ("for yesterday", {"iat": int(wall().timestamp()) - 400, "exp": int(wall().timestamp()) - 100}),
        ("without a number of its own", {"jti": None}),
        ("with a number that is a book", {"jti": "x" * 300}),
        ("about another service", {"sub": "scanner"}),
        ("from another service", {"iss": "scanner", "sub": "scanner"}),
        ("from nobody", {"iss": "nobody", "sub": "nobody"}),
        ("of a service that has ended", {"iss": "old-bot", "sub": "old-bot"}),
    ],
)
def test_an_assertion_that_proves_nothing_gets_nothing(site: Site, attack: str, changes: dict[str, object]) -> None:
    given = {name: [site.url if v == "OURS" else v for v in value] if isinstance(value, list) else value for name, value in changes.items()}  # fmt: skip
    answer = site.proves(site.assertion(**given))
    assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"}), attack


def test_an_assertion_signed_by_another_key_or_with_the_public_key_as_a_secret_gets_nothing(site: Site) -> None:
    assert site.proves(site.assertion(ECKey.generate_key("P-256"))).status_code == 401
    assert site.proves(site.assertion(header={"typ": "at+jwt"})).status_code == 401
    assert site.proves(site.assertion(), client_id="scanner").status_code == 401
    assert site.proves(site.assertion(), client_assertion_type="urn:made-up").status_code == 400


def test_an_assertion_is_good_once_in_all_processes(site: Site, tmp_path: Path) -> None:
    once = site.assertion()
    assert site.proves(once).status_code == 200
    assert site.proves(once).status_code == 401

    async def elsewhere() -> tuple[int, list[int]]:
        """A second process of the platform: its own issuer on the same database, the same address to prove oneself to."""
        async with issuer(site.estate, site.pool, site.folder) as other:
            replayed = await site.client.post(f"{other.url}/token", data=_form(once))
            fresh = site.assertion(aud=other.url)
            together = await asyncio.gather(
                *(site.client.post(f"{other.url}/token", data=_form(fresh)) for _ in range(6))
            )
        return replayed.status_code, sorted(answer.status_code for answer in together)

    assert site.run(elsewhere) == (401, [200, 401, 401, 401, 401, 401])


def _form(assertion: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials", "client_assertion": assertion,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }  # fmt: skip


def _header(certificate: bytes) -> dict[str, str]:
    return {"client-cert": f":{b64encode(certificate).decode()}:"}


def test_a_service_with_a_certificate_gets_a_token_that_only_this_certificate_can_use(site: Site) -> None:
    answer = site.posts("token", _header(SCANNER), grant_type="client_credentials", client_id="scanner")
    assert answer.status_code == 200, answer.text
    token, thumb = answer.json()["access_token"], base64url(site.certificate)
    caller = site.caller(token, ("stock",), certificate=thumb)
    assert (caller.actor, caller.supplier) == ("service:scanner", "ORTHO")
    for stolen in (None, base64url(b"another certificate's digest....")):
        with pytest.raises(Unauthenticated, match="certificate"):
            site.caller(token, ("stock",), certificate=stolen)


def test_another_certificate_no_certificate_and_two_certificates_prove_nothing(site: Site) -> None:
    form = {"grant_type": "client_credentials", "client_id": "scanner"}
    assert site.posts("token", _header(b"another"), **form).status_code == 401
    assert site.posts("token", **form).status_code == 401
    assert site.posts("token", {"client-cert": ":not base64:"}, **form).status_code == 401
    assert site.posts("token", _header(SCANNER), grant_type="client_credentials", client_id="ap-bot").status_code == 401


def test_secrets_are_not_taken_from_services(site: Site) -> None:
    basic = {"authorization": "Basic " + b64encode(b"ap-bot:guess").decode()}
    assert site.posts("token", basic, grant_type="client_credentials").status_code == 401
    answer = site.posts("token", grant_type="client_credentials", client_id="ap-bot", client_secret="guess")
    assert (answer.status_code, answer.headers["cache-control"]) == (401, "no-store")
    forged = OctKey.generate_key(256)
    assert site.posts("token", grant_type="password", username="ana", password="x").json() == {"error": "unsupported_grant_type"}  # fmt: skip
    assert forged.key_type == "oct"


def test_parameters_in_the_address_are_not_read(site: Site) -> None:
    answer = site.run(
        lambda: site.client.post(f"{site.url}/token?client_assertion={site.assertion()}", data={"grant_type": "client_credentials"})
    )  # fmt: skip
    assert answer.status_code == 401
    assert site.run(lambda: site.client.get(f"{site.url}/token")).status_code == 405


# --- keys that sign ------------------------------------------------------------------------------------------------


def test_after_a_rotation_old_tokens_live_on_and_new_ones_carry_the_new_key(site: Site) -> None:
    keys: SigningKeys = site.issuer.identity.keys
    before = site.service_token()
    site.run(lambda: keys.rotate(by="person:boss"))
    after = site.service_token()
    assert before.partition(".")[0] != after.partition(".")[0]
    assert site.caller(before, ("erp",)).id == site.caller(after, ("erp",)).id == "ap-bot"
    published = site.opens(f"{site.url}/jwks").json()["keys"]
    assert len(published) == 2
    assert len(list((site.folder / "identity").glob("*.pem"))) == 1, "what signs no more is deleted"
    assert [e["actor"] for e in site.audited("key.made")] == ["system:issuer", "person:boss"]


def test_a_key_that_was_stolen_is_distrusted_at_once(site: Site) -> None:
    keys: SigningKeys = site.issuer.identity.keys
    stolen, unseen = site.service_token(), site.service_token()
    assert site.caller(stolen, ("erp",)).id == "ap-bot", "this process has believed it once"
    site.run(lambda: keys.rotate(by="person:boss", distrust=True))
    for token in (stolen, unseen):
        with pytest.raises(Unauthenticated, match="a key that its issuer does not have"):
            site.caller(token, ("erp",))
    assert site.caller(site.service_token(), ("erp",)).id == "ap-bot"


def test_a_process_without_the_private_half_makes_a_key_of_its_own_and_both_verify(site: Site, tmp_path: Path) -> None:
    here = site.service_token()

    async def elsewhere() -> str:
        async with issuer(site.estate, site.pool, tmp_path / secrets.token_hex(4)) as other:
            (other_keys := await other.identity.keys.published())["keys"]
            assert len(other_keys["keys"]) == 2
            return "seen"

    assert site.run(elsewhere) == "seen"
    assert site.caller(here, ("erp",)).id == "ap-bot"
