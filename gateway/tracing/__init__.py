"""Traces: which requests are kept, and their spans, made by a thread after the answer. Only ``sinks`` knows OpenTelemetry."""
