"""What a version is asked before it is published: may its signatures be called, on what inputs, and are rows independent."""
