"""What is done with a prediction log besides writing it: export, replay and drift. No gateway that serves imports any of it."""
