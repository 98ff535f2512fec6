"""What the requests of a rollout have shown, and how much it proves. Pure: no I/O, and no clock of its own."""
