"""The commands ``python -m gateway log export``, ``replay`` and ``drift``."""
