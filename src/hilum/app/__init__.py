"""The composition root: the only package that knows everyone.

A platform is four kinds of process on one PostgreSQL: *intake* (doors and group commit), *worker* (dispatch, cases,
feeds, recovery, replay), *tower* (the page) and *gateway* (the APIs). ``hilum up`` starts one of each and keeps them running.
"""

from hilum.app.commands import main

__all__ = ["main"]
