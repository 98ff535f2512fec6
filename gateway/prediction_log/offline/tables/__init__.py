"""Predictions as tables with a row for each instance or request: Parquet, JSON lines, CSV. Only ``parquet`` needs pyarrow."""
