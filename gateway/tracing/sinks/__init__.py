"""Where spans go: an OTLP receiver, or a file. Nothing here is imported unless there are traces."""
