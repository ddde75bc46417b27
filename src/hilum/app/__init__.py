"""The composition root: the only package that knows everyone.

A platform is three kinds of process on one PostgreSQL: *intake* (doors and group commit), *worker* (dispatch, cases,
feeds, recovery, replay) and *tower* (the page). ``hilum up`` starts one of each and keeps them running.
"""

from hilum.app.commands import main

__all__ = ["main"]
