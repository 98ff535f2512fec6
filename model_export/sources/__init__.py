"""What a user may publish, and how each kind of it is written as a SavedModel."""
