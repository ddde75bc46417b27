"""The same reading as the page's, in the Prometheus text format. No label ever holds a patient's or an item's number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hilum.runtime.overview import Overview


class _Reading(Collector):
    """Metrics of one overview."""

    def __init__(self, seen: Overview) -> None:
        self._seen = seen

    def collect(self) -> Iterable[Metric]:
        yield from self._doors()
        yield from self._systems()
        yield from self._work()
        yield from self._platform()

    def _doors(self) -> Iterator[Metric]:
        texts = {
            "received": "Messages that arrived.",
            "refused": "Messages that were refused.",
            "duplicates": "Messages that repeated a known fact.",
            "violations": "Bytes that were no message.",
        }
        for name, text in texts.items():
            family = CounterMetricFamily(f"hilum_channel_{name}", text, labels=["system", "transport"])
            for system in self._seen.systems:
                for channel in system.channels:
                    family.add_metric([system.name, channel.transport], getattr(channel, name))
            yield family
        last = GaugeMetricFamily(
            "hilum_channel_last_message_timestamp_seconds",
            "When the last message arrived.",
            labels=["system", "transport"],
        )
        for system in self._seen.systems:
            for channel in system.channels:
                if channel.last_at is not None:
                    last.add_metric([system.name, channel.transport], channel.last_at.timestamp())
        yield last

    def _systems(self) -> Iterator[Metric]:
        admitted = GaugeMetricFamily(
            "hilum_system_deliveries_admitted",
            "1 while deliveries to the system go out, 0 while its circuit is open or it is held.",
            labels=["system"],
        )
        deliveries = GaugeMetricFamily(
            "hilum_deliveries", "Deliveries by system and state.", labels=["system", "state"]
        )
        for system in self._seen.systems:
            admitted.add_metric([system.name], 0 if system.state in ("away", "held") else 1)
            for state, count in (
                ("open", system.deliveries_open),
                ("refused", system.deliveries_refused),
                ("done", system.deliveries_done),
            ):
                deliveries.add_metric([system.name, state], count)
        yield admitted
        yield deliveries

    def _work(self) -> Iterator[Metric]:
        cases = GaugeMetricFamily("hilum_cases", "Cases by flow and state.", labels=["flow", "state"])
        for flow in self._seen.flows:
            for state, count in flow.cases.items():
                cases.add_metric([flow.name, state], count)
        yield cases
        behind = GaugeMetricFamily(
            "hilum_feed_behind_events", "Events that the feed has not read yet.", labels=["feed"]
        )
        parked = GaugeMetricFamily(
            "hilum_feed_parked_events", "Events that a feed could not hand over.", labels=["feed", "state"]
        )
        for feed in self._seen.feeds:
            behind.add_metric([feed.name], feed.behind)
            parked.add_metric([feed.name, "dead"], feed.dead)
            parked.add_metric([feed.name, "waiting"], feed.waiting_behind_dead)
        yield behind
        yield parked
        items = GaugeMetricFamily("hilum_work_items_open", "Open work items.", labels=["queue"])
        waiting = GaugeMetricFamily("hilum_work_cases_waiting", "Cases that wait in open work items.", labels=["queue"])
        at_risk = GaugeMetricFamily("hilum_work_at_risk_usd", "Money that waits in open work items.", labels=["queue"])
        due = GaugeMetricFamily(
            "hilum_work_oldest_due_timestamp_seconds", "When the first open work item is or was due.", labels=["queue"]
        )
        for queue, totals in self._seen.queues.items():
            items.add_metric([queue], totals.items)
            waiting.add_metric([queue], totals.cases)
            at_risk.add_metric([queue], float(totals.at_risk_usd))
            if totals.oldest_due is not None:
                due.add_metric([queue], totals.oldest_due.timestamp())
        yield from (items, waiting, at_risk, due)

    def _platform(self) -> Iterator[Metric]:
        executors = GaugeMetricFamily("hilum_executors", "Worker processes by state.", labels=["state"])
        for state in ("running", "silent", "stopped", "dead"):
            executors.add_metric([state], sum(e.state == state for e in self._seen.executors))
        yield executors
        certificates = GaugeMetricFamily(
            "hilum_certificate_days_left", "Days until a watched certificate ends.", labels=["slot", "role"]
        )
        for certificate in self._seen.certificates:
            certificates.add_metric([certificate.slot, certificate.role], certificate.days_left)
        yield certificates
        audit = self._seen.audit
        yield GaugeMetricFamily("hilum_audit_entries", "Audit entries under the newest signed head.", value=audit.size)
        yield GaugeMetricFamily(
            "hilum_audit_pending_entries", "Audit entries that are under no signed head yet.", value=audit.pending
        )
        if audit.head_at is not None:
            yield GaugeMetricFamily(
                "hilum_audit_head_timestamp_seconds",
                "When the newest head was signed.",
                value=audit.head_at.timestamp(),
            )
        lag = GaugeMetricFamily(
            "hilum_audit_unpublished_entries", "Audit entries that a place of published heads lacks.", labels=["place"]
        )
        newest = GaugeMetricFamily(
            "hilum_audit_published_head_timestamp_seconds", "When a place's newest head was signed.", labels=["place"]
        )
        alarms = GaugeMetricFamily(
            "hilum_audit_published_alarm", "1 where the log is not the one that was published.", labels=["place"]
        )
        for known in audit.published:
            lag.add_metric([known.place], known.unpublished)
            alarms.add_metric([known.place], known.alarm is not None)
            if known.head_at is not None:
                newest.add_metric([known.place], known.head_at.timestamp())
        yield from (lag, newest, alarms)


def exposition(seen: Overview, own: CollectorRegistry | None) -> bytes:
    """The text of ``/metrics``: the reading, and what this process counts itself in ``own``."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Reading(seen))
    return generate_latest(registry) + (generate_latest(own) if own is not None else b"")
