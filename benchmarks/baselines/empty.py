"""The floor: a Flask route that does nothing. ``gunicorn -k gevent benchmarks.baselines.empty:app``."""

from flask import Flask

app = Flask(__name__)


@app.get("/empty")
def empty() -> str:
    """Answer two letters."""
    return "ok"
