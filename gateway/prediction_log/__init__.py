"""The log of predictions and feedback: rows are chosen and bounded in the request, and a thread writes them to a sink.

It never makes a prediction wait or fail. Only ``sinks`` knows databases and files; only ``commands`` knows a terminal.
"""
