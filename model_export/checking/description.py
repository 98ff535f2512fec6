"""What a version's files alone tell: its signatures, those that can never be called, and what was found out about rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model_export.checking import finding
from model_export.checking.finding import Finding
from model_export.checking.uncallable import why_uncallable
from model_export.errors import ExportError
from model_export.saved_model import Signature, read_meta_graph, signatures_of


@dataclass(frozen=True)
class Description:
    """The signatures of a version, a finding for each signature that has one, and what is wrong with the version's files."""

    signatures: tuple[Signature, ...]
    findings: Mapping[str, Finding]
    warnings: tuple[str, ...]


def describe(version_dir: Path) -> Description:
    """Read a version without running anything. Raises ExportError when it holds no readable SavedModel."""
    graph = read_meta_graph(version_dir)
    signatures = signatures_of(graph)
    reasons = {signature.name: why_uncallable(graph, signature) for signature in signatures}
    uncallable = {name: finding.uncallable(reason) for name, reason in reasons.items() if reason}
    try:
        found, warnings = finding.read(version_dir), ()
    except ExportError as error:
        return Description(signatures, uncallable, (str(error),))
    known = {name: entry for name, entry in found.items() if name in reasons}
    return Description(signatures, known | uncallable, warnings)
