"""Settings of the property tests: an example may take as long as a busy machine needs, and leaves nothing on disk."""

from hypothesis import settings

settings.register_profile("project", deadline=None, database=None)
settings.load_profile("project")
