"""What surrounds the stack: setting it up and running it on one machine."""
