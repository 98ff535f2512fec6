"""What went wrong, and what to do instead, each in one line for the operator. Nothing here runs a model."""
