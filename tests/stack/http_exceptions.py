"""Where a worker may end a connection otherwise, or answer later, than the thread worker: worker, case, and the reason."""

_WHOLE = (
    "the loop answers a request when all of it has come: its answer to a client that has not sent what it announced comes when "
    "its patience ends, and until then costs no thread"
)

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("loop", "length: not read, never sent"): _WHOLE,
    ("loop", "connection: close and a body that never comes"): _WHOLE,
    ("loop", "body: 100,000 bytes, never read"): (
        "the loop has taken the body in before the application answers: nothing of it is left on a connection that can be kept"
    ),
}
