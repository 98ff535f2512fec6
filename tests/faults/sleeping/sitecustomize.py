"""Lets Python sleep under libfaketime: 0.9.10 of Debian 12 refuses the absolute times of clock_nanosleep, which Python uses."""

import select
import time


def _sleep(seconds: float) -> None:
    select.select([], [], [], seconds)


time.sleep = _sleep
