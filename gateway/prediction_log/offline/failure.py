"""Why an export, a replay or a comparison cannot be done."""


class ExportFailure(Exception):
    """Raised with one line that says what cannot be done, and what to do instead."""
