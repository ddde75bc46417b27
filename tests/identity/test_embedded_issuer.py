"""The embedded issuer as its clients see it, and as those who would like to be somebody else see it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from tests.identity.site_parts import CALLBACK, Pkce, Site
from tests.identity_parts import PASSWORD, Person, answer_in, form_of, wall

from hilum.authoring.estate_identity import IdentitySpec, IssuerSpec
from hilum.identity import accounts
from hilum.security.identity import Unauthenticated
from hilum.security.identity.callers import account_of


def test_a_person_signs_in_and_the_portal_learns_who_it_is(site: Site) -> None:
    site.has("ana", roles=("buyer",), facilities=("ST-MARY",))
    pkce = Pkce()
    answer = site.signs_in("ana", pkce=pkce)
    assert answer.status_code == 303 and answer.headers["location"].startswith(CALLBACK + "?")
    back = answer_in(answer.headers["location"])
    assert (back["state"], back["iss"]) == (pkce.state, site.url), "RFC 9207: the answer says whose it is"

    given = site.redeems(back["code"], pkce).json()
    assert (given["token_type"], given["expires_in"]) == ("Bearer", 300)
    keys = KeySet.import_key_set(site.opens(f"{site.url}/jwks").json())
    said = jwt.decode(given["id_token"], keys, algorithms=["ES256"]).claims
    assert (said["sub"], said["aud"], said["nonce"], said["iss"]) == ("person:ana", "portal", pkce.nonce, site.url)
    caller = site.caller(given["access_token"])
    assert (caller.actor, caller.roles, caller.facilities) == ("person:ana", {"buyer"}, {"ST-MARY"})
    assert caller.session == said["sid"]


def test_discovery_says_what_the_issuer_does_and_nothing_it_does_not(site: Site) -> None:
    said = site.opens(f"{site.url}/.well-known/openid-configuration").json()
    assert said["issuer"] == site.url and said["response_types_supported"] == ["code"]
    assert said["code_challenge_methods_supported"] == ["S256"]
    assert "none" not in said["id_token_signing_alg_values_supported"]
    jwks = site.opens(said["jwks_uri"]).json()
    assert jwks["keys"] and not any("d" in key for key in jwks["keys"]), "only public halves"


def test_the_sign_in_page_runs_nothing_loads_nothing_and_is_framed_by_nobody(site: Site) -> None:
    page = site.opens(site.address(Pkce()))
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "script-src" not in policy
    assert "form-action 'self' https://portal.lakeshore.example" in policy
    assert page.headers["referrer-policy"] == "no-referrer" and page.headers["cache-control"] == "no-store"
    assert not re.search(r"<script|\son\w+=|\sstyle=", page.text)
    cookie = page.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie


# --- codes -------------------------------------------------------------------------------------------------------


def test_a_code_that_comes_twice_ends_everything_that_grew_from_it(site: Site) -> None:
    site.has("ana")
    pkce = Pkce()
    code = site.code(pkce)
    given = site.redeems(code, pkce).json()
    assert site.caller(given["access_token"]).id == "ana"

    replayed = site.redeems(code, pkce)
    assert (replayed.status_code, replayed.json()) == (400, {"error": "invalid_grant"})
    site.looks_for_revocations()
    with pytest.raises(Unauthenticated, match="called back"):
        site.caller(given["access_token"])
    assert site.refreshes(given["refresh_token"]).status_code == 400
    assert [e["actor"] for e in site.audited("grant.code_replayed")] == ["system:issuer"]


@pytest.mark.parametrize(
    ("attack", "changes"),
    [
        ("another verifier", {"code_verifier": "x" * 43}),
        ("another redirect address", {"redirect_uri": CALLBACK + "/"}),
        ("another client", {"client_id": "tower"}),
        ("no verifier", {"code_verifier": ""}),
        ("a short verifier", {"code_verifier": "short"}),
        ("a secret of a public client", {"client_secret": "guessed"}),
    ],
)
def test_a_stolen_code_is_worth_nothing(site: Site, attack: str, changes: dict[str, str]) -> None:
    site.has("ana")
    pkce = Pkce()
    answer = site.redeems(site.code(pkce), pkce, **changes)
    assert answer.status_code in (400, 401), attack
    assert "access_token" not in answer.text


def test_a_wrong_verifier_uses_the_code_up_so_that_nobody_guesses_on(site: Site) -> None:
    site.has("ana")
    pkce = Pkce()
    code = site.code(pkce)
    assert site.redeems(code, pkce, code_verifier="y" * 43).status_code == 400
    assert site.redeems(code, pkce).status_code == 400


@pytest.mark.parametrize(
    ("attack", "changes", "error"),
    [
        ("no PKCE", {"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ("PKCE downgraded to plain", {"code_challenge_method": "plain"}, "invalid_request"),
        ("PKCE without a method, which means plain", {"code_challenge_method": None}, "invalid_request"),
        ("a challenge that S256 never makes", {"code_challenge": "short"}, "invalid_request"),
        ("a token straight away", {"response_type": "token"}, "unsupported_response_type"),
        ("an ID token straight away", {"response_type": "id_token"}, "unsupported_response_type"),
        ("the answer in the fragment", {"response_mode": "fragment"}, "invalid_request"),
        ("a request by reference", {"request_uri": "https://evil.example/r"}, "request_uri_not_supported"),
        ("a resource that is not the portal's", {"resource": "erp"}, "invalid_target"),
        ("nobody is signed in, and no page wanted", {"prompt": "none"}, "login_required"),
    ],
)
def test_a_request_that_weakens_the_flow_is_refused_at_the_clients_address(
    site: Site, attack: str, changes: dict[str, str | None], error: str
) -> None:
    answer = site.opens(site.address(Pkce(), **changes))
    assert answer.status_code == 303, attack
    back = answer_in(answer.headers["location"])
    assert back["error"] == error and back["iss"] == site.url and "code" not in back


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/callback",
        CALLBACK + "?next=https://evil.example",
        CALLBACK + "/../../evil",
        CALLBACK + "#fragment",
        CALLBACK.upper(),
        CALLBACK + "\r\nset-cookie: a=b",
        "https://portal.lakeshore.example@evil.example/callback",
        "https://portal.lakeshore.example.evil.example/callback",
        "//evil.example",
        "javascript:alert(1)",
        "http://portal.lakeshore.example/callback",
    ],
)
def test_nothing_is_sent_to_an_address_the_client_has_not_registered(site: Site, address: str) -> None:
    answer = site.opens(site.address(Pkce(), redirect_uri=address))
    assert answer.status_code == 400 and "location" not in answer.headers
    assert "evil" not in answer.text and "set-cookie" not in answer.headers.get("set-cookie", "").replace("hilum", "")


def test_a_parameter_sent_twice_and_an_unknown_client_are_not_redirected(site: Site) -> None:
    twice = site.opens(site.address(Pkce()) + "&redirect_uri=https%3A%2F%2Fevil.example")
    assert twice.status_code == 400 and "location" not in twice.headers
    assert site.opens(site.address(Pkce(), client_id="nobody")).status_code == 400


# --- refresh tokens ----------------------------------------------------------------------------------------------


def test_a_refresh_token_is_used_once_and_its_reuse_ends_the_family_and_the_session(site: Site) -> None:
    site.has("ana")
    person = Person()
    first = site.tokens(person=person)
    second = site.refreshes(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]

    assert site.refreshes(first["refresh_token"]).json() == {"error": "invalid_grant"}
    assert site.refreshes(second["refresh_token"]).json() == {"error": "invalid_grant"}, "the thief's or the owner's"
    site.looks_for_revocations()
    with pytest.raises(Unauthenticated):
        site.caller(second["access_token"])
    assert site.opens(site.address(Pkce()), person).status_code == 200, "the browser has to sign in again too"
    assert len(site.audited("grant.refresh_replayed")) == 1


def test_another_client_cannot_refresh_and_a_role_that_was_taken_away_is_gone_with_the_next_token(site: Site) -> None:
    site.has("ana", roles=("buyer", "approver"))
    given = site.tokens()
    stolen = site.posts("token", grant_type="refresh_token", refresh_token=given["refresh_token"], client_id="tower")
    assert stolen.status_code in (400, 401)
    site.run(lambda: site.pool.execute("UPDATE hilum.account SET roles = '{buyer}'"))
    renewed = site.refreshes(given["refresh_token"]).json()
    assert site.caller(renewed["access_token"]).roles == {"buyer"}


def test_signing_out_ends_tokens_refresh_tokens_and_the_browsers_session(site: Site) -> None:
    site.has("ana")
    person = Person()
    given = site.tokens(person=person)
    asked = site.opens(f"{site.url}/end-session", person)
    assert "Sign out?" in asked.text, "any page can send a browser here, so it asks first"
    form = form_of(asked.text)
    forged = site.run(lambda: person.client.post(f"{site.url}/end-session", data={"form": "forged"}))
    assert "Sign out?" in forged.text and site.caller(given["access_token"]).id == "ana"

    done = site.run(lambda: person.client.post(f"{site.url}/end-session", data=form.hidden))
    assert "signed out everywhere" in done.text
    site.looks_for_revocations()
    with pytest.raises(Unauthenticated):
        site.caller(given["access_token"])
    assert site.refreshes(given["refresh_token"]).status_code == 400
    assert "Password" in site.opens(site.address(Pkce()), person).text
    assert len(site.audited("session.ended")) == 1


def test_revoking_a_refresh_token_says_the_same_for_one_that_never_was(site: Site) -> None:
    site.has("ana")
    given = site.tokens()
    for token in ("never-was", given["refresh_token"]):
        answer = site.posts("revoke", token=token, client_id="portal")
        assert (answer.status_code, answer.text) == (200, "")
    assert site.refreshes(given["refresh_token"]).status_code == 400


def test_sign_out_leads_only_to_addresses_of_the_client(site: Site) -> None:
    answer = site.opens(f"{site.url}/end-session?client_id=portal&post_logout_redirect_uri=https%3A%2F%2Fevil.example")
    assert answer.status_code == 200 and "location" not in answer.headers and "evil" not in str(answer.headers)


# --- signing in --------------------------------------------------------------------------------------------------


def test_guessing_is_slowed_for_everyone_and_the_right_password_still_works_later(site: Site) -> None:
    site.has("ana")
    outcomes = [site.signs_in("ana", f"wrong guess {n}").status_code for n in range(8)]
    assert outcomes[:5] == [401] * 5 and outcomes[5:] == [429] * 3
    assert site.signs_in("ana").status_code == 429, "slowed, also with the right password"
    waited = site.signs_in("ana").headers["retry-after"]
    assert 0 < int(waited) <= 60, "never locked out"
    assert len(site.audited("session.refused")) == 5, "what is slowed down does not fill the log"


def test_a_browser_the_person_has_used_before_is_let_in_while_the_account_is_attacked(site: Site) -> None:
    site.has("ana")
    own = Person()
    assert site.signs_in("ana", person=own).status_code == 303
    for n in range(8):
        site.signs_in("ana", f"wrong guess {n}")
    address = site.address(Pkce(), prompt="login")
    assert site.run(lambda: own.signs_in_at(address, "ana")).status_code == 303


def test_a_login_that_nobody_has_is_answered_and_worked_on_like_a_wrong_password(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hilum.identity import passwords

    compared: list[str] = []
    real = passwords.is_right

    def watched(password: str, kept: str) -> bool:
        compared.append(kept.rpartition("$")[0].partition("$")[0])
        return real(password, kept)

    monkeypatch.setattr(passwords, "is_right", watched)
    site.has("ana")
    known, unknown = site.signs_in("ana", "not the right one"), site.signs_in("nobody", "not the right one")
    assert compared == ["scrypt", "scrypt"], "the same work is done for both"
    assert known.status_code == unknown.status_code == 401

    def without_tokens(page: str) -> str:
        return re.sub(r'value="[^"]*"|action="[^"]*"', "", page)

    assert without_tokens(known.text) == without_tokens(unknown.text)
    assert [e["subject"] for e in site.audited("session.refused")] == ["account/ana", "account/?"]


def test_the_comparison_for_nobody_costs_what_a_stored_password_costs() -> None:
    from hilum.identity import passwords

    kept = passwords.stored("four blue herons", b"0123456789abcdef")
    assert kept.split("$")[:4] == passwords.nobodys().split("$")[:4]
    assert passwords.is_right("four blue herons", kept) and not passwords.is_right("four blue heron", kept)


def test_a_session_that_was_planted_before_the_sign_in_opens_nothing_after_it(site: Site) -> None:
    site.has("ana")
    victim = Person()
    victim.client.cookies.set("hilum_issuer", "planted-by-the-attacker", domain="127.0.0.1")
    assert site.signs_in("ana", person=victim).status_code == 303
    attacker = Person()
    attacker.client.cookies.set("hilum_issuer", "planted-by-the-attacker", domain="127.0.0.1")
    assert "Password" in site.opens(site.address(Pkce()), attacker).text


def test_a_form_of_another_browser_signs_nobody_in(site: Site) -> None:
    site.has("ana")
    page = site.opens(site.address(Pkce()))
    stolen = form_of(page.text)
    other = Person()
    site.opens(site.address(Pkce()), other)
    fields = {**stolen.hidden, "login": "ana", "password": PASSWORD}
    answer = site.run(lambda: other.client.post(site.address(Pkce()), data=fields))
    assert answer.status_code == 400 and "open for too long" in answer.text


def test_who_is_disabled_is_out_at_once(site: Site) -> None:
    site.has("ana")
    person = Person()
    given = site.tokens(person=person)

    async def disable() -> None:
        async with site.pool.acquire() as connection, connection.transaction():
            await accounts.disable(connection, "ana", now=wall(), by="person:boss")

    site.run(disable)
    site.looks_for_revocations()
    with pytest.raises(Unauthenticated):
        site.caller(given["access_token"])
    assert site.refreshes(given["refresh_token"]).status_code == 400
    assert "Password" in site.opens(site.address(Pkce()), person).text
    assert site.signs_in("ana").status_code == 401


@pytest.fixture
def beside_entra(database_url: str, tmp_path: Path) -> Iterator[Site]:
    """A site where the page signs in elsewhere: its own people are called ana@hilum, and person:ana is the other's."""
    site = Site(database_url, tmp_path)
    entra = IssuerSpec(url="https://login.lakeshore.example", client_id="hilum")
    spec = site.estate.identity.model_copy(
        update={"issuers": {"entra": entra}, "sign_in": "entra", "local_accounts": True}
    )
    site.estate = replace(site.estate, identity=spec)
    with site:
        yield site


@pytest.mark.parametrize("change", ["disable", "reset"])
def test_who_is_disabled_beside_another_provider_is_out_and_nobody_of_that_provider(
    beside_entra: Site, change: str
) -> None:
    site = beside_entra
    site.has("ana")
    given = [site.tokens(), site.tokens()]
    assert {site.caller(one["access_token"]).actor for one in given} == {"person:ana@hilum"}

    async def changed() -> None:
        async with site.pool.acquire() as connection, connection.transaction():
            if change == "disable":
                await accounts.disable(connection, "ana", now=wall(), by="person:boss")
            else:
                await accounts.reset(connection, "ana", secret="a-secret-link", now=wall(), by="person:boss")

    site.run(changed)
    site.looks_for_revocations()
    for one in given:
        with pytest.raises(Unauthenticated, match="called back"):
            site.caller(one["access_token"])
    rows = site.run(lambda: site.pool.fetch("SELECT subject FROM hilum.identity_revocation"))
    assert len(rows) == 2 and all(row["subject"].startswith("session:") for row in rows)


def test_a_persons_account_is_known_by_what_the_person_is_called(beside_entra: Site) -> None:
    assert account_of(IdentitySpec(), "ana") == "ana"
    assert account_of(beside_entra.estate.identity, "ana@hilum") == "ana"
    assert account_of(beside_entra.estate.identity, "ana") is None, "this is somebody of the other provider"


# --- one-time links ----------------------------------------------------------------------------------------------


def invited(site: Site, login: str = "maria", **more: Any) -> str:
    async def invite() -> None:
        async with site.pool.acquire() as connection, connection.transaction():
            await accounts.invite(connection, login, secret="a-secret-link", now=more.pop("now", wall()), by="person:boss", **more)  # fmt: skip

    site.run(invite)
    return f"{site.url}/welcome/a-secret-link"


def test_a_link_sets_one_password_once(site: Site) -> None:
    link = invited(site, roles=("steward",))
    assert "maria" in site.opens(link).text and "maria" in site.opens(link).text, "looking does not use it up"
    fields = {"password": PASSWORD, "again": PASSWORD}
    assert "is set" in site.run(lambda: site.client.post(link, data=fields)).text
    assert site.run(lambda: site.client.post(link, data=fields)).status_code == 404
    assert site.opens(link).status_code == 404
    assert site.caller(site.tokens("maria")["access_token"]).roles == {"steward"}


@pytest.mark.parametrize(
    ("password", "again", "why"),
    [
        ("short", "short", "at least 12"),
        ("maria maria maria", "maria maria maria", "guessed"),
        ("password password", "password password", "guessed"),
        ("aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaa", "guessed"),
        ("one good sentence", "another good sentence", "not the same"),
    ],
)
def test_a_password_that_would_be_guessed_is_refused_and_the_link_still_works(
    site: Site, password: str, again: str, why: str
) -> None:
    link = invited(site)
    answer = site.run(lambda: site.client.post(link, data={"password": password, "again": again}))
    assert answer.status_code == 400 and why in answer.text and password not in answer.text
    assert site.opens(link).status_code == 200


def test_a_link_dies_after_half_an_hour(site: Site) -> None:
    link = invited(site, now=wall() - accounts.LINK_LIVES)
    assert site.opens(link).status_code == 404


# --- what is kept ------------------------------------------------------------------------------------------------


def test_the_database_holds_nothing_that_opens_a_door(site: Site) -> None:
    site.has("ana")
    person, pkce = Person(), Pkce()
    code = site.code(pkce, person=person)
    unredeemed = site.code(Pkce(), person=Person())
    given = site.redeems(code, pkce).json()
    link = invited(site).rpartition("/")[2]
    stored = site.everything_stored()
    secrets = [code, unredeemed, given["refresh_token"], given["access_token"], link, PASSWORD, pkce.verifier]
    secrets += [cookie.value for cookie in person.client.cookies.jar]
    assert len(secrets) >= 9
    for secret in secrets:
        assert secret not in stored
    assert '"d"' not in stored and "PRIVATE" not in stored


def test_private_keys_are_files_of_their_owner_alone(site: Site) -> None:
    keys = list((site.folder / "identity").glob("*.pem"))
    assert keys and all(key.stat().st_mode & 0o777 == 0o600 for key in keys)
    assert (site.folder / "identity").stat().st_mode & 0o077 == 0


def test_every_step_is_in_the_audit_log(site: Site, tmp_path: Path) -> None:
    site.has("ana")
    site.tokens()
    for action in ("account.invited", "account.password_set", "key.made", "session.began", "token.granted"):
        assert site.audited(action), action
