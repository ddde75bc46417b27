"""`hilum policy`: test the policies, ask them why, review who may do what, and let a change of them be approved."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from hilum.authoring.caller import Caller
from hilum.authoring.estate import Estate
from hilum.cli.permission import terminal_caller
from hilum.cli.platform import DEFAULT_DATA, console, print_json, usage
from hilum.cli.policy_changes import approve, propose
from hilum.cli.policy_review import review
from hilum.governance.loader import load_estate
from hilum.governance.policy_tests import CALLERS, Outcome, read_policy_tests, run_policy_tests
from hilum.governance.problems import EstateRefused
from hilum.security.policies import Policies
from hilum.security.policies.explaining import Explanation, explain
from hilum.security.policies.questions import Question, UnclearQuestion, read_question

policy_app = typer.Typer(
    name="policy",
    help="Test the policies, ask them why, review who may do what, approve a change.",
    no_args_is_help=True,
)
policy_app.command("review")(review)
policy_app.command("propose")(propose)
policy_app.command("approve")(approve)

EstateFolder = Annotated[Path, typer.Argument(help="The estate's folder.", exists=True, file_okay=False)]
EstateHere = Annotated[
    Path, typer.Option("--estate", envvar="HILUM_ESTATE", help="The estate's folder.", exists=True, file_okay=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]


@policy_app.command("test")
def test(estate: EstateFolder, as_json: AsJson = False) -> None:
    """Run the estate's table tests (policies/tests/*.csv) through the policies. Exit 1 when a row is not as expected.

    Example: hilum policy test estates/lakeshore
    """
    known, policies = _loaded(estate)
    tests = read_policy_tests(known, policies)
    outcomes = run_policy_tests(tests, policies)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if as_json:
        print_json(
            {
                "version": policies.version,
                "policies": len(policies.policies),
                "tests": len(outcomes),
                "failed": [_failure(outcome) for outcome in failed],
                "unreadable": [asdict(problem) for problem in tests.problems],
                "warnings": [asdict(finding) for finding in policies.findings],
            }
        )
    else:
        _show_tests(policies, outcomes, failed, [str(problem) for problem in tests.problems])
    raise typer.Exit(1 if failed or tests.problems else 0)


@policy_app.command("explain")
def explain_command(
    who: Annotated[str, typer.Argument(metavar="WHO", help=f"A caller of {CALLERS}, or `me`: you at this terminal.")],
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help='Such as "read Order supplier=MEDLINE facility=ST-MARY".')
    ],
    estate: EstateHere = Path("estates/lakeshore"),
    as_json: AsJson = False,
) -> None:
    """Say whether it is allowed, by which policies, and otherwise what would have to be different. Exit 1 when denied.

    Example: hilum policy explain ana "read Order supplier=MEDLINE facility=ST-MARY"
    """
    known, policies = _loaded(estate)
    caller = _caller(who, known, policies)
    try:
        question = read_question(what, policies.vocabulary)
    except UnclearQuestion as unclear:
        usage(str(unclear))
    told = explain(policies, caller, question.action, question.resource)
    if as_json:
        print_json(
            {
                "who": caller.actor,
                "what": str(question),
                "allowed": told.decision.allowed,
                "by": [asdict(policy) for policy in told.by],
                "near": [asdict(near) for near in told.near],
                "errors": list(told.decision.errors),
                "version": policies.version,
            }
        )
    else:
        _show(caller, question, told)
    raise typer.Exit(0 if told.decision.allowed else 1)


def _loaded(estate: Path) -> tuple[Estate, Policies]:
    try:
        known = load_estate(estate)
    except EstateRefused as refused:
        usage(f"the estate cannot be read: {refused.problems[0]}")
    return known, Policies(known.policies)


def _caller(who: str, estate: Estate, policies: Policies) -> Caller:
    if who == "me":
        return terminal_caller(DEFAULT_DATA, estate=estate.root)
    callers = read_policy_tests(estate, policies).callers
    if who not in callers:
        known = ", ".join(sorted(callers)) if callers else "none"
        usage(f"there is no caller {who!r} in {CALLERS}; known: {known}")
    return callers[who]


def _failure(outcome: Outcome) -> dict[str, Any]:
    return {
        "where": outcome.test.where,
        "who": outcome.test.who,
        "what": str(outcome.test.question),
        "expected": "allowed" if outcome.test.allowed else "denied",
        "explanation": outcome.explanation,
        "because": outcome.test.because,
    }


def _show_tests(policies: Policies, outcomes: list[Outcome], failed: list[Outcome], unreadable: list[str]) -> None:
    out = console()
    for problem in unreadable:
        out.print(f"[bold red]unreadable[/] {escape(problem)}\n")
    for outcome in failed:
        row = outcome.test
        out.print(f"[bold red]failed[/] [bold]{escape(row.where)}[/]  {escape(row.who)}: {escape(str(row.question))}")
        out.print(
            f"  expected {'allowed' if row.allowed else 'denied'}{': ' + escape(row.because) if row.because else ''}"
        )
        out.print(f"  [dim]→[/] {escape(outcome.explanation)}\n")
    for finding in policies.findings:
        out.print(f"[bold yellow]warning[/] {escape(str(finding))}\n")
    passed = len(outcomes) - len(failed)
    colour = "red" if failed or unreadable else "green"
    out.print(f"[{colour}]{passed} of {len(outcomes)} rows[/] hold for {len(policies.policies)} policies.")


def _show(caller: Caller, question: Question, told: Explanation) -> None:
    out = console()
    verdict = "[bold green]allowed[/]" if told.decision.allowed else "[bold red]denied[/]"
    out.print(f"{verdict}: {escape(caller.actor)} asks to {escape(str(question))}")
    bonds = [f"roles {', '.join(sorted(caller.roles)) if caller.roles else 'none'}"]
    bonds.append(f"facilities {', '.join(sorted(caller.facilities)) if caller.facilities else 'none'}")
    bonds += [f"{name} {value}" for name in ("supplier", "department") if (value := getattr(caller, name)) is not None]
    out.print(f"  [dim]{escape('; '.join(bonds))}; purpose {escape(caller.purpose)}[/]\n")
    for error in told.decision.errors:
        out.print(f"  [red]{escape(error)}[/]")
    for policy in told.by:
        out.print(f"  {policy.effect} [bold]{policy.id}[/]  [dim]{escape(policy.where)}[/]")
        if policy.because:
            out.print(f"    {escape(policy.because)}")
    if told.near:
        out.print("  No policy permits it. Nearest, with what would have to hold:")
    for near in told.near:
        out.print(f"  [bold]{near.id}[/]  [dim]{escape(near.where)}[/]")
        for condition in near.missing:
            out.print(f"    {escape(condition)}", highlight=False)
    if not told.decision.allowed and not told.by and not told.near and not told.decision.errors:
        out.print("  No policy permits this action on this type of resource to anybody.")
