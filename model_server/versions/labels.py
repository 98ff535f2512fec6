"""Version labels: names for version numbers, replaced as a whole when a configuration is (re)loaded."""

from collections.abc import Callable, Mapping

from model_server.config import Models
from model_server.status import failed_precondition, invalid_argument


class Labels:
    """Model -> label -> version. Reading is lock-free; writers take turns by themselves."""

    def __init__(self, *, allow_unavailable: bool) -> None:
        self._allow_unavailable = allow_unavailable
        self._table: Mapping[str, Mapping[str, int]] = {}

    def resolve(self, model: str, label: str) -> int:
        """The version that a label names; INVALID_ARGUMENT if it names none."""
        version = self._table.get(model, {}).get(label)
        if version is None:
            raise invalid_argument(f"Unrecognized servable version label: {label}")
        return version

    def replace(self, models: Models, is_available: Callable[[str, int], bool]) -> None:
        """Install the labels of ``models``, or raise FAILED_PRECONDITION and keep the old ones.

        A label may name a version that is not available only if that is allowed and does not move it.
        """
        for model in models.values():
            for label, version in model.labels.items():
                unmoved = self._table.get(model.name, {}).get(label, version) == version
                if not is_available(model.name, version) and not (self._allow_unavailable and unmoved):
                    raise failed_precondition(
                        f"Request to assign label to version {version} of model {model.name},"
                        " which is not currently available for inference"
                    )
        self._table = {model.name: dict(model.labels) for model in models.values()}
