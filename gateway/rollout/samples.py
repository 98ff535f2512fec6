"""Samples of requests that the canary failed or answered otherwise than stable: what is kept, and how a person reads it.

A sample is JSON in the database: ``request_id``, ``ts_us``, ``step`` and ``signature`` of the request, and either the fields of
``outputs.Difference`` or the ``error`` and the ``message`` that the canary answered
(a caller of the canary got the answer of stable). Older ones have no ``ts_us``.

Among them is what the first answer has shown: ``unused_tolerances``, those for no output, and the ``outputs`` that there are.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from gateway.rollout.plan import Plan
from gateway.rollout.sentences import clock

IN_STATUS: Final = 3
"""How many ``status`` shows of them; ``explain`` shows ``IN_EXPLAIN``."""

IN_EXPLAIN: Final = 10

Sample: TypeAlias = Mapping[str, Any]


def sample_lines(plan: Plan, samples: Sequence[Sample], most: int) -> list[str]:
    """A title, and a line for each of the first ``most`` samples; nothing if there are none.

    A line before them says which tolerances are for no output.
    """
    notes = [f"  {note}" for note in dict.fromkeys(map(_note, samples)) if note]
    differing = differences(samples)
    if not differing:
        return notes
    some = f"{most} of {len(differing)} samples" if len(differing) > most else "samples"
    return [*notes, f"  {some} of answers that differed:", *(f"    {_line(plan, sample)}" for sample in differing[:most])]


def differences(samples: Sequence[Sample]) -> list[Sample]:
    """Those of requests that were answered differently."""
    return [sample for sample in samples if "unused_tolerances" not in sample]


def unused_tolerances(samples: Sequence[Sample]) -> list[str]:
    """The outputs for which a tolerance was asked, and which the canary does not have."""
    return sorted({name for sample in samples for name in sample.get("unused_tolerances", ())})


def _note(sample: Sample) -> str:
    unused = sample.get("unused_tolerances")
    if not unused:
        return ""
    return f"no output has the tolerance of {', '.join(unused)}: the outputs are {', '.join(sample.get('outputs', ()))}"


def _line(plan: Plan, sample: Sample) -> str:
    when = f"{clock(sample['ts_us'])}, " if "ts_us" in sample else ""
    return f"{when}request {sample.get('request_id') or 'without an id'}: {_what(plan, sample)}"


def _what(plan: Plan, sample: Sample) -> str:
    if "error" in sample:
        return f"version {plan.canary} answered {sample['error']} ({sample.get('message', '')})"
    gap = "" if sample.get("gap") is None else f", by {sample['gap']:.3g} at most"
    told = f"output {sample.get('output')}: {sample.get('how')}{gap}"
    if not (sample.get("stable") or sample.get("canary")):
        return told
    return f"{told} (version {plan.stable}: {sample.get('stable')}, version {plan.canary}: {sample.get('canary')})"
