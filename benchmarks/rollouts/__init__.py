"""Rollouts, simulated and live: what takes a version back rightly and wrongly, how soon, and what the callers notice."""
