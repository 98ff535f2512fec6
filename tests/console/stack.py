"""A gateway with all that the console shows: keys, a prediction log, and models of which some have versions with faults."""

from collections.abc import Mapping
from pathlib import Path

from tests.gateway.access.made_keys import make_key, write
from tests.stack.conftest import EXAMPLES
from tests.stack.rollout_stack import PINNED, RolloutStack
from tests.stack.rollout_versions import DIFFERS, STABLE

PLANTED = "planted"
"""A model with the versions of `rollout_versions`, of which the first is served."""

TWO_VERSIONS = "two_versions"
"""A model that is served with two versions whose outputs differ by 1e-3."""

KEYS: Mapping[str, Mapping[str, object]] = {
    "admin": {"scopes": ("predict", "metadata", "admin")},
    "predicts": {"scopes": ("predict",)},
    "looks": {"scopes": ("metadata",)},
    "some": {"scopes": ("predict", "metadata"), "models": ("half*", "digits")},
}
"""The keys by their names."""


class ConsoleStack(RolloutStack):
    """The example models and those of ``planted``. ``keys``: the texts of ``KEYS`` by name, empty without keys."""

    def __init__(
        self,
        folder: Path,
        exported: Path,
        versions: Path,
        planted: tuple[str, ...] = (PLANTED,),
        has_keys: bool = True,
        **settings: object,
    ) -> None:
        (folder / "models").mkdir()
        for name in EXAMPLES:
            (folder / "models" / name).symlink_to(exported / name)
        (folder / "models" / TWO_VERSIONS).symlink_to(versions)
        made = {name: make_key(name, **fields) for name, fields in KEYS.items()} if has_keys else {}
        self.keys = {name: text for name, (text, _) in made.items()}
        if has_keys:
            write(folder / "keys.jsonl", *(key for _, key in made.values()))
            settings = {"keys_file": folder / "keys.jsonl"} | settings
        log = {"prediction_log": f"sqlite:///{folder / 'predictions.db'}"}
        super().__init__(folder, versions, planted, **(log | settings))

    def write_config(self, names: tuple[str, ...], policy: str = PINNED) -> None:
        both = f"model_version_policy {{ specific {{ versions: {STABLE} versions: {DIFFERS} }} }}"
        policies = {**dict.fromkeys(EXAMPLES, ""), TWO_VERSIONS: both, **dict.fromkeys(names, policy)}
        entries = "".join(
            f'config {{ name: "{name}" base_path: "{self.models_dir / name}" model_platform: "tensorflow" {policy} }}\n'
            for name, policy in policies.items()
        )
        self.config.write_text(f"model_config_list {{\n{entries}}}\n")

    def bearer(self, name: str = "admin") -> dict[str, str]:
        """The headers of a caller with that key."""
        return {"Authorization": f"Bearer {self.keys[name]}"} if self.keys else {}
