"""Whatever fails, no answer is wrong, no request is left without an end, and all is right again afterwards."""

import os

import pytest

from tests.faults import clients, files, gateway, machine, network, server, stores, table
from tests.faults.fault import FAULTS, Fault
from tests.faults.scene import IS_LONG
from tests.faults.trial import try_fault

MODULES = (server, network, gateway, clients, stores, machine, files)


@pytest.mark.timeout(900 if IS_LONG else 180)
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_is_survived(fault: Fault, scenes, rows):
    if fault.is_for_root and os.geteuid() != 0:
        assert not os.environ.get("CI"), f"{fault} was NOT RUN: it needs root"
        pytest.skip(f"{fault} was NOT RUN: it needs root")
    try:
        rows.append(try_fault(fault, scenes.of(fault)))
    except BaseException:
        scenes.close()
        raise


def test_every_number_has_its_fault():
    assert {int(fault.number.rstrip("abcdef")) for fault in FAULTS} == set(range(1, 31))
    assert len({fault.number for fault in FAULTS}) == len(FAULTS)


def test_the_documentation_has_every_fault():
    assert table.described(table.FILE.read_text()) == {fault.number: fault.what for fault in FAULTS}
