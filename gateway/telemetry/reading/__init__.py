"""Reads the numbers of the metrics of all workers, again and again and cheaply: which keys there are is remembered."""
