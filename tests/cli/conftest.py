"""Commands are given after a morning at Lakeshore, or with files of any format."""

from tests.cli.format_terminal import terminal
from tests.tower.morning_fixtures import morning_template, morning_url

__all__ = ["morning_template", "morning_url", "terminal"]
