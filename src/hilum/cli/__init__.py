"""The terminal: every command of hilum."""

from __future__ import annotations

from collections.abc import Callable, Collection

import typer

from hilum.cli.account import account_app
from hilum.cli.acknowledge import ack
from hilum.cli.api import api_app
from hilum.cli.audit import audit_app
from hilum.cli.break_glass import break_glass_app
from hilum.cli.cash import cash_app
from hilum.cli.charges import charges_app
from hilum.cli.check import check_command
from hilum.cli.claim import claim_app
from hilum.cli.close import close_app
from hilum.cli.convert import convert
from hilum.cli.crosswalk import crosswalk_app
from hilum.cli.demo import demo
from hilum.cli.denials import denials_app
from hilum.cli.evidence import evidence_app
from hilum.cli.files import files
from hilum.cli.keys import keys_app
from hilum.cli.master import master_app
from hilum.cli.parse import parse
from hilum.cli.patient_account import patient_account_app
from hilum.cli.policy import policy_app
from hilum.cli.queue import queue_app, release
from hilum.cli.replay import replay_app
from hilum.cli.retention import hold_app, retention_app
from hilum.cli.schedule import schedule_app
from hilum.cli.send import send
from hilum.cli.status import status, system_app
from hilum.cli.trace import trace
from hilum.cli.up import up
from hilum.cli.validate import validate

HELP = """Hilum keeps a health system's EHR, billing, ERP, supply chain and compliance in step.

Start with `hilum demo`, or check an estate with `hilum check` and run it with `hilum up`.
"""


def application(
    *, known_connectors: Collection[str], reconcile: Callable[..., None], contract_test: Callable[..., None]
) -> typer.Typer:
    """All commands, for an installation with these kinds of connector."""
    app = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.command()(demo)
    app.command()(up)
    app.command("check")(check_command(known_connectors))
    app.add_typer(api_app, name="api")
    app.command()(send)
    app.command()(parse)
    app.command()(validate)
    app.command()(ack)
    app.command()(convert)
    app.command()(trace)
    app.add_typer(queue_app, name="queue")
    app.command()(release)
    app.add_typer(replay_app, name="replay")
    app.add_typer(charges_app, name="charges")
    app.add_typer(claim_app, name="claim")
    app.add_typer(denials_app, name="denials")
    app.add_typer(audit_app, name="audit")
    app.add_typer(evidence_app, name="evidence")
    app.add_typer(hold_app, name="hold")
    app.add_typer(retention_app, name="retention")
    app.add_typer(keys_app, name="keys")
    app.add_typer(account_app, name="account")
    app.add_typer(patient_account_app, name="patient-account")
    app.add_typer(policy_app, name="policy")
    app.add_typer(break_glass_app, name="break-glass")
    app.command()(status)
    app.command()(files)
    app.add_typer(system_app, name="system")
    app.add_typer(crosswalk_app, name="crosswalk")
    app.add_typer(master_app, name="master")
    app.add_typer(schedule_app, name="schedule")
    app.add_typer(close_app, name="close")
    app.add_typer(cash_app, name="cash")
    app.command("reconcile")(reconcile)
    app.command("contract-test")(contract_test)
    return app
