"""From a draft to two versions that are loaded, or to a refusal in the model server's own words.

Every worker of every gateway does the same: it has its own model config file say what the plan wants, and looks whether its own
model servers serve that. The plan goes on once each worker has found so. A file that is written twice is the same file.
"""

import dataclasses
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

from gateway.backend.version_policy import specific
from gateway.rollout import changes
from gateway.rollout.changes import Change
from gateway.rollout.checking import Refusal, check_draft, others_of
from gateway.rollout.control import versions
from gateway.rollout.control.sight import Sight
from gateway.rollout.control.writing import Writing
from gateway.rollout.decision import FileState
from gateway.rollout.plan import Plan, State

FORMER: Final = "model_version_policy"
"""Under this name the history keeps what the file said before the rollout."""

LOAD_TIMEOUT_S: Final = 600.0
_GIVEN_UP_S: Final = 15.0
"""A failure counts when it has lasted so long: the servers may not have read the file yet, and then try again."""

_TELL_S: Final = 20.0
_TALK_US: Final = 60_000_000
_LEFT_TO_OTHERS_US: Final = 30_000_000
"""A draft of a model that these servers do not know may be another gateway's."""

_CLOSE_US: Final = 15_000_000
# Of a reload: these say that the server could not be told.
_NO_NEWS: Final = ("UNIMPLEMENTED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "PERMISSION_DENIED")


class Loading:
    """What one worker does for plans that have not begun yet, and for those that could not. For one event loop.

    ``config_file``: None: there is none, and an operator must see to it that the servers have both versions. ``host``: of which
    host it is the file.
    """

    def __init__(
        self,
        writing: Writing,
        config_file: Path | None,
        timeout_s: float = LOAD_TIMEOUT_S,
        now: Callable[[], float] = time.monotonic,
        *,
        host: str = "",
    ) -> None:
        self._writing = writing
        self._config_file = config_file
        self._place = "" if config_file is None else f"{host}:{config_file.absolute()}"
        self._timeout_s = timeout_s
        self._now = now
        self._right_since: dict[tuple[str, State], float] = {}

    @property
    def has_file(self) -> bool:
        """Whether there is a model config file, which may say something else than a plan wants."""
        return self._config_file is not None

    def drafted(
        self, plan: Plan, sight: Sight, failed: Mapping[int, Plan], now_us: int, *, is_everywhere: bool
    ) -> Change | None:
        """A draft is accepted or refused by what the model servers serve now; it waits while none of them answers.

        The other versions that answer are kept, those of every gateway's servers: clients may name them.

        ``is_everywhere``: every worker sends requests to the plan's stable version, if it has one, and has its versions kept.
        If the plan ``moves_to`` another one: no worker knows a server that answers with stable.
        """
        if not sight.told:
            return self.waits(plan, versions.no_server(sight), now_us)
        if not versions.is_known_model(sight) and now_us - plan.created_us < _LEFT_TO_OTHERS_US:
            return None
        values = _checked(plan, sight, failed)
        if isinstance(values, Refusal):
            return changes.refused(plan, values.reason, now_us)
        others = others_of(plan, values["stable"], versions.present(sight), failed)
        if plan.stable != values["stable"]:
            may_pin = plan.stable is None or is_everywhere
            return changes.pinned(plan, values | {"others": others}, now_us) if may_pin else None
        if others != plan.others:
            return changes.kept(plan, others, now_us)
        return self._accepted(plan, values, sight, now_us) if is_everywhere else None

    def _accepted(self, plan: Plan, values: dict[str, Any], sight: Sight, now_us: int) -> Change:
        if sight.policy is None:
            return changes.accepted(plan, values, now_us)
        said = sight.policy.source
        after, event = changes.accepted(plan, values | {"former": said, "former_in": self._place}, now_us)
        return after, dataclasses.replace(event, evidence=event.evidence | {FORMER: said})

    def loading(self, plan: Plan, sight: Sight, now_us: int, *, is_everywhere: bool) -> Change | None:
        """Have the file written and wait for the servers. ``is_everywhere``: every worker has found both versions loaded."""
        if is_everywhere:
            return changes.loaded(plan, now_us)
        look = versions.loaded(plan, sight)
        if self.file_state(plan, sight) is FileState.BEHIND:
            self._right_since.pop((plan.id, plan.state), None)
            return self.write(plan, now_us)
        if look.is_loaded:
            return None  # the other workers are not so far
        waited_s = self._waited_s(plan)
        words = self._given_up(plan, sight, waited_s, look.missing)
        if words:
            return self._refused(plan, words, now_us)
        if self._config_file is None:
            return self.waits(plan, f"{look.missing}; {_no_file(plan)}", now_us)
        attempt = self._writing.attempt(plan.id)
        if waited_s >= _TELL_S and not (attempt is not None and attempt.is_told):
            # The worker that has written the file may be gone, and a server may read it only when it is told.
            self._writing.tell(plan.id, specific(plan.versions))
        return self.waits(plan, look.missing, now_us) if waited_s >= _GIVEN_UP_S else None

    def write(self, plan: Plan, now_us: int) -> Change | None:
        """Have the file ask for the plan's versions. Where that cannot be, the plan says what an operator must write there."""
        source = specific(plan.versions)
        self._writing.put(plan.id, plan.model, source)
        attempt = self._writing.attempt(plan.id)
        if attempt is None or not attempt.problem or attempt.source != source:
            return None
        cannot = f"{self._config_file} cannot be changed here ({attempt.problem})"
        return self.waits(plan, f"{cannot}: write into the entry of model {plan.model}: {source}", now_us)

    def let_go(self, plan: Plan, sight: Sight, now_us: int) -> Change | None:
        """Have the file name only what stays. A plan that is pinned for longer than that takes says what it waits for."""
        if self.file_state(plan, sight) is FileState.BEHIND:
            return self.write(plan, now_us)
        missing = versions.loaded(plan, sight).missing
        if not missing or self._waited_s(plan) < _GIVEN_UP_S:
            return None
        reason = f"requests stay pinned to version {plan.kept}: {missing}{self._advice(plan, sight)}"
        return self.waits(plan, reason, now_us)

    def _advice(self, plan: Plan, sight: Sight) -> str:
        """What an operator may do about a plan that cannot let go."""
        if not self.has_file:
            return f"; {_no_file(plan)}"
        if plan.kept not in versions.present(sight):
            return f"; `rollout start {plan.model}` with --stable N sends them to version N"
        if self.file_state(plan, sight) is FileState.AGREES:
            return ""
        return f"; write into {self.entry(plan, sight)}: {specific(plan.versions)}"

    def refused(self, plan: Plan, sight: Sight, now_us: int, *, is_everywhere: bool) -> Change | None:
        """Put the file back to what it said, and then let the plan go. ``is_everywhere``: every worker has found it so.

        Until then it pins stable: a canary that is loaded late must answer nobody.
        """
        source = self._source_after(plan, sight)
        if source is not None and sight.policy is not None and sight.policy.specific == plan.versions:
            self._writing.put(plan.id, plan.model, source)
        is_over = is_everywhere and now_us - plan.state_us >= _CLOSE_US
        note = "no model config file has the servers keep the canary beside stable any more"
        return changes.change(plan, now_us, "close", note=note, is_open=False) if is_over else None

    def is_put_back(self, plan: Plan, sight: Sight) -> bool:
        """Whether nothing here keeps the canary beside stable any more: the file does not name both, as far as it is known.

        Without a file the servers themselves say whether they serve it.
        """
        if not self.has_file:
            return bool(sight.told) and plan.canary not in versions.present(sight)
        return sight.policy is not None and not versions.pair(plan) <= set(sight.policy.specific or ())

    def _source_after(self, plan: Plan, sight: Sight) -> str | None:
        """What the file says of the model after a refusal. None: it stays as it is, since stable cannot answer alone.

        What one gateway's file said is put back there alone: in another one it may let the canary answer.
        """
        if plan.former is not None and plan.former_in == self._place:
            return plan.former
        stays = {*plan.versions} - {plan.canary}
        return specific(tuple(stays)) if plan.stable in versions.available(sight) else None

    def file_state(self, plan: Plan, sight: Sight) -> FileState:
        """See ``versions.file_state``."""
        return versions.file_state(plan, sight, has_file=self.has_file)

    def entry(self, plan: Plan, sight: Sight) -> str:
        """See ``versions.entry``."""
        return versions.entry(plan, sight, self._config_file)

    def waits(self, plan: Plan, reason: str, now_us: int) -> Change | None:
        """The plan says why it waits, if it says something else, and all gateways together have not for a while.

        They may see it differently. One that ended says it once.
        """
        if plan.is_ended:
            return changes.waits(plan, reason, now_us) if plan.told_us <= plan.state_us else None
        has_told = plan.reason and now_us - plan.told_us < _TALK_US
        return None if plan.reason == reason or has_told else changes.waits(plan, reason, now_us)

    def forget_all_but(self, plan_ids: Collection[str]) -> None:
        """Other plans are over."""
        self._right_since = {key: since for key, since in self._right_since.items() if key[0] in plan_ids}
        self._writing.forget_all_but(plan_ids)

    def _waited_s(self, plan: Plan) -> float:
        """For how long the file has been right, as far as this worker knows, and the servers have not followed it."""
        now_s = self._now()
        return now_s - self._right_since.setdefault((plan.id, plan.state), now_s)

    def _given_up(self, plan: Plan, sight: Sight, waited_s: float, missing: str) -> str:
        """Why it will not be loaded any more, in the server's words; empty while it may."""
        attempt = self._writing.attempt(plan.id)
        if waited_s >= _GIVEN_UP_S and sight.told:
            failures = versions.failures(plan, sight)
            if failures:
                return failures
            refusals = {} if attempt is None else attempt.refusals
            said = [f"{address}: {text}" for address, text in sorted(refusals.items()) if not text.startswith(_NO_NEWS)]
            if said and not versions.are_known(plan, sight):
                return "; ".join(said)
        if self._config_file is not None and waited_s >= self._timeout_s:
            said = [] if attempt is None else [f"{address}: {text}" for address, text in sorted(attempt.refusals.items())]
            return "; ".join([f"not loaded within {self._timeout_s:.0f} s: {missing}", *said])
        return ""

    def _refused(self, plan: Plan, reason: str, now_us: int) -> Change:
        if plan.stays_open:
            return changes.refused(plan, reason, now_us)
        # It stays open until the file is put back.
        return changes.change(plan, now_us, "refuse", state=State.REFUSED, reason=reason, weight=0)


def _no_file(plan: Plan) -> str:
    what = "only these" if plan.drops_other else "both"
    return f"GATEWAY_MODEL_CONFIG_FILE is not set: have the model server keep {what} by {specific(plan.versions)}"


def _checked(plan: Plan, sight: Sight, failed: Mapping[int, Plan]) -> dict[str, Any] | Refusal:
    """As ``check_draft``; a version that takes the place of a pinned one is checked as one that is not pinned yet."""
    asked = plan if plan.moves_to is None else dataclasses.replace(plan, stable=plan.moves_to, stays_open=False)
    values = check_draft(asked, versions.available(sight), versions.states(sight), failed)
    if plan.moves_to is None or isinstance(values, Refusal):
        return values
    if not versions.has_lost_pin(plan, sight):
        why = f"every request goes to version {plan.stable} since the last rollout, and a model server answers with it"
        ends = f"start without --stable, or end that by `rollout clean {plan.model}` first"
        return Refusal(f"version {plan.moves_to} cannot take its place: {why}: {ends}")
    leaves = tuple(sorted({*plan.leaves, *versions.pair(plan)} - {plan.canary, plan.moves_to}))
    return values | {"moves_to": None, "leaves": leaves}
