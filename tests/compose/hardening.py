"""What every container of the stack has: no privileges that it could lose."""

from typing import Any


def assert_no_privileges(container: dict[str, Any]) -> None:
    """``container`` is what ``docker inspect`` says of it."""
    host = container["HostConfig"]
    assert container["Config"]["User"].split(":")[0] not in ("", "0", "root")
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Init"]
    assert host["Memory"] > 0
