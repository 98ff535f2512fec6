"""The versions that `rollout_models` writes, and the rows that all of them treat alike; importing it loads no TensorFlow."""

REFUSED, FAILING = -1.0, -2.0
"""First numbers of rows that every version refuses (INVALID_ARGUMENT), and fails at (DATA_LOSS)."""

STABLE, EQUAL, FAILS, SLOW, DIFFERS = 1, 2, 3, 4, 5
"""FAILS fails at every row whose first number is below 30 of 100, SLOW takes 50 ms more, DIFFERS by 1e-3."""
