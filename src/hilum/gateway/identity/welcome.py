"""Behind a one-time link: the person whose account it is chooses a password."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from hilum.gateway.identity import pages
from hilum.gateway.identity.forms import form
from hilum.gateway.identity.issuer import TOWER, Issuer
from hilum.identity import accounts, passwords
from hilum.identity.digests import is_same
from hilum.identity.places import place

_GONE = "This link opens nothing (any more): it works once, for half an hour. Ask whoever sent it for a new one."


async def welcome(issuer: Issuer, request: Request) -> Response:
    """GET looks at the link without using it up; POST sets the password."""
    secret: str = request.path_params["secret"]
    async with issuer.pool.acquire() as connection:
        account = await accounts.whose_link(connection, secret, now=issuer.clock())
    if account is None:
        return pages.sentence(issuer, "Not here", _GONE, status=404)
    action = f"{issuer.settings.base}/welcome/{secret}"

    def again(problem: str = "", status: int = 200) -> Response:
        return pages.page(
            issuer, "welcome.html", status=status, account=account, problem=problem, action=action, shortest=passwords.SHORTEST
        )  # fmt: skip

    if request.method == "GET":
        return again()
    sent = await form(request)
    password = sent.get("password")
    if password is None or not is_same(sent.get("again"), password):
        return again("The two are not the same.", 400)
    try:
        passwords.refuse_weak(password, account.id)
    except passwords.PasswordRefused as refused:
        return again(str(refused), 400)
    stored: str = await issuer.in_thread(passwords.stored, password, issuer.salt())
    async with issuer.pool.acquire() as connection, connection.transaction():
        taken = await accounts.take_up(connection, secret, password=stored, now=issuer.clock())
        tower = await place(connection, TOWER)
    if taken is None:
        return pages.sentence(issuer, "Not here", _GONE, status=404)
    link = {"href": tower.rstrip("/") + "/", "text": "Sign in"} if tower is not None else None
    return pages.sentence(issuer, "Done", f"The password of {taken} is set.", link=link)
