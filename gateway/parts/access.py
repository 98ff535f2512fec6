"""Who may call, and how much: the key file and the limits of one process, made from the settings."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.access import key_file
from gateway.access.authenticator import Authenticator
from gateway.access.gate import AddressLimits, Gate
from gateway.access.key_file import KeyFileError
from gateway.access.key_set import KeySet
from gateway.access.limits.limit import parse_limits
from gateway.access.limits.limiter import Limiter
from gateway.access.limits.table import LimitTable
from gateway.api.routes import ANY_KEY, Route
from gateway.settings import Settings, SettingsError
from gateway.telemetry import metrics
from gateway.telemetry.logs import logger

if TYPE_CHECKING:
    from gateway.access.limits.leases import Leases

log = logger("gateway")


class Access:
    """Who may call, and how much: the keys and limits of one process."""

    def __init__(self, settings: Settings, limit_table: LimitTable | None, checked: Callable[[str], None]) -> None:
        self._metrics_need_a_key = settings.metrics_key == "on"
        self._keys = None if settings.keys_file is None else KeySet(settings.keys_file, parse_limits)
        self._table = table = limit_table or LimitTable()
        self._leases = _leases(settings.redis_url, table) if settings.redis_url else None
        limiter = Limiter(table, self._leases, metrics.count_limited, metrics.LIMIT_OVERFLOWS.inc)
        authenticator = None if self._keys is None else Authenticator(self._keys.find, self._keys.note_use)
        addresses = AddressLimits(settings.address_limits, settings.trusted_proxies)
        self._gate = Gate(authenticator, limiter, addresses, checked)

    def guarded(self, route: Route) -> Route:
        """``route`` for those who may call it."""
        is_open = not route.scope or (route.scope == "metrics" and not self._metrics_need_a_key)
        if is_open:
            handler = self._gate.opened(route.handler)
        elif route.scope == ANY_KEY:
            handler = self._gate.identified(route.handler)
        else:
            handler = self._gate.guarded(route.scope, route.handler)
        return replace(route, handler=handler)

    async def start(self) -> None:
        """Read the keys, and ask Redis for leases. Waits half a second for it at most."""
        self._table.join()
        if self._keys is not None:
            self._keys.start()
        if self._leases is not None:
            await self._leases.start()

    async def close(self) -> None:
        """Write what is known of the keys' use, and end the leases."""
        if self._leases is not None:
            await self._leases.close()
        if self._keys is not None:
            await asyncio.to_thread(self._keys.close)


def _leases(url: str, table: LimitTable) -> "Leases":
    # Redis's client loads much, OpenTelemetry among it where that is installed: only a gateway that has a Redis needs it.
    from gateway.access.limits.leases import Leases  # noqa: PLC0415

    return Leases(url, table, metrics.note_limit_store)


def check_access(settings: Settings) -> None:
    """Look at the key file and the address of Redis once, before there are workers, and log what an operator should know.

    Raises:
        SettingsError: the file cannot be read, or trusted, or the address is none.
    """
    if settings.redis_url:
        from gateway.access.limits.redis_client import redis_at  # noqa: PLC0415

        try:
            redis_at(settings.redis_url)
        except ValueError as error:
            raise SettingsError(f"GATEWAY_REDIS_URL: {error}") from None
    for setting, meaning in _unused(settings):
        log.warning("setting.unused", setting=setting, meaning=meaning)
    if settings.keys_file is None:
        log.info("keys.off", setting="GATEWAY_KEYS_FILE", meaning="whoever reaches the gateway may call it")
        return
    try:
        key_file.check_at_start(settings.keys_file, parse_limits)
    except KeyFileError as error:
        raise SettingsError(f"GATEWAY_KEYS_FILE: {error}") from error


def _unused(settings: Settings) -> Iterator[tuple[str, str]]:
    """The settings that have no effect beside the others, and why."""
    has_keys, has_address_limits = settings.keys_file is not None, bool(settings.address_limits)
    if settings.redis_url and not has_keys and not has_address_limits:
        yield "GATEWAY_REDIS_URL", "without GATEWAY_KEYS_FILE and GATEWAY_ADDRESS_LIMITS nothing is limited"
    if has_address_limits and has_keys:
        yield "GATEWAY_ADDRESS_LIMITS", "with GATEWAY_KEYS_FILE each key has its own limits, and what has no key is refused"
    if settings.metrics_key == "on" and not has_keys:
        yield "GATEWAY_METRICS_KEY", "without GATEWAY_KEYS_FILE no route needs a key"
