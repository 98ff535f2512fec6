"""Where a worker may end a connection otherwise, or answer later, than the thread worker: worker, case, and the reason.

And where all of the gateway's workers do otherwise than gunicorn's own: case, and what comes of it.
"""

_WHOLE = (
    "the loop answers a request when all of it has come: its answer to a client that has not sent what it announced comes when "
    "its patience ends, and until then costs no thread"
)

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("loop", "connection: close and a body that never comes"): _WHOLE,
    ("loop", "length: not read, never sent"): _WHOLE,
}

# An answer says what becomes of its connection, which gunicorn finds out behind it; and who waits for ``100 Continue`` with a
# body that nobody reads is not asked for it.
OTHERWISE: dict[str, str] = {
    "status: 413 before the body is read": "413 closed",
    "body: ends early": "200 closed",
    "body: ends early, by lines": "200 closed",
    "body: ends early, never read": "200 closed",
    "body: bad chunks, never read": "200 closed",
    "body: bad chunks, read after the start": "closed",
    "body: Expect, never read": "200 closed",
    "body: Expect, refused": "413 closed",
    "body: 100,000 bytes, never read": "200 kept",
    "body: 800,000 bytes, refused": "404 kept",
    "body: 2,000,000 bytes, refused": "503 closed",
    "environ: Expect": "200 kept",
}
