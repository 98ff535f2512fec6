"""The example models: a module with ``write(folder, report)`` for each, found by its name, and the data that they learn."""
