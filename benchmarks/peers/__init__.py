"""The servers that others use for the same work, each with the same SavedModel, in an environment of its own."""
