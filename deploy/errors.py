"""How a run of the stack ends."""


class ServeError(Exception):
    """Raised when the stack cannot run; the message is one line for the person at the terminal."""


class Stopped(Exception):
    """Raised by Ctrl-C, SIGTERM or a closed terminal."""
