"""Where the rows of the prediction log are kept: a SQL database, or a folder of JSON lines. Each is a ``Sink``."""
