"""What happens to the requests of a rollout, on the event loop: a look at a snapshot, never I/O."""
