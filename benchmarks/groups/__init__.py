"""The groups of measurements: each has ``run(bench)``, which gives what a result file holds under the group's name."""
