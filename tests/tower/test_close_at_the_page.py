"""The close at the page: every number opens its list, for the people of the facility, and who looked is on record."""

from __future__ import annotations

import orjson
from tests.tower.test_pages import Browser, words

LOOKING = """
@id("revenue-looks") @because("How the close stands is for revenue and executives.")
permit (principal, action == Hilum::Action::"read", resource is Hilum::Dashboard)
when { principal.roles.containsAny(["revenue-analyst", "executive"]) && resource has facility && principal.facilities.contains(resource.facility) };

@id("revenue-closes") @because("Revenue closes its own facilities.")
permit (principal, action == Hilum::Action::"list", resource is Hilum::Posting)
when { principal.roles.contains("revenue-analyst") && resource has facility && principal.facilities.contains(resource.facility) };
"""
POLICIES = {"policies/page.cedar": LOOKING}
DELAYED = """
INSERT INTO hilum.posting_source (source, kind, reference, on_day, amount, digest, tables, entries, staged_at)
VALUES ('remittance/HHP01/EFT-1', 'remittance', 'EFT-1', '2026-02-27', 100, '', '', 1, now());
INSERT INTO hilum.posting_journal (source, facility, total) VALUES
  ('remittance/HHP01/EFT-1', 'ST-MARY', 1500), ('remittance/HHP01/EFT-1', 'HARBOR-VIEW', 20);
"""


def with_a_delayed_journal(browser: Browser) -> Browser:
    browser.run(lambda: browser.pool.execute(DELAYED))
    return browser


def test_every_number_opens_the_list_that_it_counts(morning_url: str) -> None:
    with Browser(morning_url) as browser:
        page = with_a_delayed_journal(browser).opens("/close?period=2026-03")
        assert "Close of 2026-03" in page and "Journals that the ledger does not have" in page
        assert '<a class="name" href="/close/ST-MARY/journals-delayed?period=2026-03">1</a>' in page
        assert "$1,500.00" in page and "$20.00" in page
        listed = words(browser.opens("/close/ST-MARY/journals-delayed?period=2026-03"))
        assert "remittance/HHP01/EFT-1" in listed and "$1,500.00" in listed and "$20.00" not in listed
        assert "/close?period=2026-02" in page and "/close?period=2026-04" in page


def test_people_see_the_facilities_they_work_for_and_nobody_else_any(morning_url: str) -> None:
    with Browser(morning_url, roles=("revenue-analyst",), facilities=("ST-MARY",), policies=POLICIES) as rita:
        page = with_a_delayed_journal(rita).opens("/close?period=2026-03")
        assert "ST-MARY" in page and "HARBOR-VIEW" not in page
        rita.opens("/close/HARBOR-VIEW/journals-delayed?period=2026-03", 403)
    with Browser(morning_url, login="otto", roles=("data-steward",), policies=POLICIES) as steward:
        steward.opens("/close", 403)
    with Browser(morning_url, login=None) as stranger:
        assert stranger.ask("GET", "/close")[0] == 303


def test_who_sees_only_how_things_stand_sees_numbers_and_no_records(morning_url: str) -> None:
    with Browser(morning_url, roles=("executive",), facilities=("ST-MARY",), policies=POLICIES) as eve:
        assert "$1,500.00" in with_a_delayed_journal(eve).opens("/close?period=2026-03")
        eve.opens("/close/ST-MARY/journals-delayed?period=2026-03", 403)


def test_what_is_no_list_and_no_period_is_said_to_be_none(morning_url: str) -> None:
    with Browser(morning_url) as browser:
        browser.opens("/close/ST-MARY/stars", 404)
        browser.opens("/close/ATLANTIS/journals-delayed", 404)
        assert "write a month such as 2026-03" in browser.opens("/close?period=soon", 400)


def test_who_looked_at_a_list_is_on_record(morning_url: str) -> None:
    with Browser(morning_url) as browser:
        with_a_delayed_journal(browser).opens("/close/ST-MARY/journals-delayed?period=2026-03")
        rows = browser.run(lambda: browser.pool.fetch("SELECT entry FROM hilum.audit_entry ORDER BY shard, seq"))
        looked = [
            e for row in rows if (e := orjson.loads(row["entry"]))["detail"].get("operation") == "tower.close_list"
        ]
        assert [entry["actor"] for entry in looked] == ["person:ana"]
