"""The composition root: the only package that knows everyone.

A platform is four kinds of process on one PostgreSQL: *intake* (doors and group commit), *worker* (dispatch, cases,
feeds, recovery, replay), *tower* (the page) and *gateway* (the APIs). ``hilum up`` starts one of each and keeps them running.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """The `hilum` command."""
    if sys.argv[1:2] in (["serve"], ["prepare"]):
        from hilum.app.own_commands import run
    else:
        from hilum.app.commands import run
    run()
