"""Canaille, an OpenID provider by others, as a program of its own: one person, one group, one confidential client.

Told on standard input, as one line of JSON: its port, its signing keys (the first signs), and where its client is. Says
``ready`` when it listens, and ends with its parent.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import threading
import wsgiref.simple_server
from pathlib import Path
from typing import Any

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # Loopback only.


class _Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def main() -> None:
    told = json.loads(sys.stdin.readline())
    from canaille import create_app
    from canaille.app import models
    from canaille.backends import Backend

    app = create_app(
        config={
            "TESTING": False,
            "SECRET_KEY": told["secret_key"],
            "PREFERRED_URL_SCHEME": "http",
            "SERVER_NAME": f"127.0.0.1:{told['port']}",
            "CANAILLE": {
                "DATABASE": "memory",
                "JAVASCRIPT": False,
                "HTMX": False,
                "ACL": {"DEFAULT": {"PERMISSIONS": ["use_oidc"]}},
                "LOGGING": {"version": 1, "disable_existing_loggers": True},
            },
            "CANAILLE_OIDC": {"ACTIVE_JWKS": told["keys"][:1], "INACTIVE_JWKS": told["keys"][1:]},
        },
        env_file=str(Path(told["folder"]) / "none.env"),
    )
    with app.app_context():
        user = models.User(
            user_name="nora", formatted_name="Nora Njoroge", family_name="Njoroge", emails=["nora@lakeshore.example"],
            password=told["password"],
        )  # fmt: skip
        Backend.instance.save(user)
        Backend.instance.save(models.Group(display_name="HS-AP-Analysts", members=[user]))
        client = models.Client(
            client_id="hilum-tower",
            client_secret=told["client_secret"],
            client_name="Hilum",
            client_uri=told["client"],
            client_id_issued_at=datetime.datetime.now(datetime.UTC),
            redirect_uris=[f"{told['client']}/sign-in/callback"],
            post_logout_redirect_uris=[f"{told['client']}/signed-out"],
            grant_types=["authorization_code"],
            response_types=["code"],
            scope=["openid", "profile", "groups"],
            token_endpoint_auth_method="client_secret_basic",
            id_token_signed_response_alg="RS256",
        )
        Backend.instance.save(client)
        client.audience = [client]  # What it is known by has to be stored before it can be its own audience.
        Backend.instance.save(client)
    server = wsgiref.simple_server.make_server("127.0.0.1", told["port"], app, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
