"""Simulated rollouts: how often our rule, and rules with a threshold, take a version back, rightly and wrongly."""
