"""The metrics of the model servers: by address, of so many addresses, and the others together."""

import math
from dataclasses import dataclass, field

from prometheus_client import REGISTRY

from gateway.telemetry.server_metrics import MOST, OTHER, ServerMetrics


@dataclass(eq=False)
class Server:
    address: str
    rows: int = 0
    calls: dict[str, int] = field(default_factory=dict)


def value(name: str, address: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"gateway_server_{name}", {"address": address, **labels})


def test_what_is_counted_is_shown_once():
    server, shown = Server("metrics-a:1", rows=3, calls={"OK": 2, "INTERNAL": 1}), ServerMetrics()
    shown.begin(server.address)
    statuses = ("OK", "NOT_FOUND", "INVALID_ARGUMENT", "INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED")
    assert {value("calls_total", server.address, status=status) for status in statuses} == {0}
    assert value("ejections_total", server.address) == 0
    for _ in range(2):
        shown.show([server], lambda _: True)
    assert value("calls_total", server.address, status="OK") == 2
    assert value("calls_total", server.address, status="INTERNAL") == 1
    assert (value("in_flight_rows", server.address), value("in_rotation", server.address)) == (3, 1)
    shown.note_ejection(server.address)
    shown.show([server], lambda _: False)
    assert (value("ejections_total", server.address), value("in_rotation", server.address)) == (1, 0)


def test_a_server_that_is_gone_has_no_rows_and_is_no_alert():
    server, shown = Server("metrics-b:1", rows=3), ServerMetrics()
    shown.begin(server.address)
    shown.show([server], lambda _: True)
    shown.show([], lambda _: True)
    assert value("in_flight_rows", server.address) == 0
    assert math.isnan(value("in_rotation", server.address))


def test_addresses_beyond_the_most_are_counted_together():
    servers = [Server(f"metrics-c{number}:1", 1, {"OK": 1}) for number in range(MOST + 3)]
    shown, before = ServerMetrics(), value("calls_total", OTHER, status="OK") or 0
    for server in servers:
        shown.begin(server.address)
    shown.show(servers, lambda server: server is not servers[-1])
    assert value("in_flight_rows", servers[MOST - 1].address) == 1
    assert value("in_flight_rows", servers[MOST].address) is None
    assert (value("in_flight_rows", OTHER), value("in_rotation", OTHER)) == (3, 0)
    assert value("calls_total", OTHER, status="OK") == before + 3
