"""Commands are given after a morning at Lakeshore."""

from tests.tower.morning_fixtures import morning_template, morning_url

__all__ = ["morning_template", "morning_url"]
