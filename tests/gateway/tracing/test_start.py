"""What a gateway loads, and what stops its start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
LOADED = (
    "import sys, gateway.app; gateway.app.create_app();"
    "print(any(name.split('.')[0] == 'opentelemetry' for name in sys.modules))"
)


def run(*arguments, **environ):
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=os.environ | environ, check=False, capture_output=True, text=True
    )


@pytest.mark.parametrize(("environ", "is_loaded"), [({}, "False"), (ENDPOINT, "True")])
def test_nothing_of_opentelemetry_is_loaded_without_traces(environ, is_loaded):
    finished = run("-c", LOADED, **environ)
    assert finished.stdout.strip() == is_loaded, finished.stderr


FILE = {"GATEWAY_TRACES_FILE": "traces.jsonl"}


@pytest.mark.parametrize("environ", [ENDPOINT, FILE], ids=["endpoint", "file"])
def test_a_missing_extra_stops_the_start_with_one_line_that_names_it(tmp_path, environ):
    (variable,) = environ
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").touch()  # hides the packages that are installed
    finished = run("-m", "gateway", PYTHONPATH=str(tmp_path), **environ)
    (told,) = [line for line in finished.stderr.splitlines() if line.startswith("gateway: ")]
    assert told.startswith(
        f"gateway: {variable}: it is set and traces need the extra otel: pip install 'serving-gateway[otel]'"
    )
    assert finished.returncode == 1
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"GATEWAY_TRACES_FILE": "/proc/nowhere/traces"}, "GATEWAY_TRACES_FILE: expected a file that can be written to: "),
        (ENDPOINT | FILE, "GATEWAY_TRACES_FILE: expected none beside OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"GATEWAY_METRICS_EXEMPLARS": "on"}, "GATEWAY_METRICS_EXEMPLARS='on': expected GATEWAY_TRACES_FILE or OTEL_EXPORTER_"),
        (ENDPOINT | {"OTEL_TRACES_SAMPLER": "some"}, "OTEL_TRACES_SAMPLER='some': expected always_on, "),
    ],
)
def test_what_cannot_be_stops_the_start_with_one_line(environ, told):
    finished = run("-m", "gateway", **environ)
    (line,) = [line for line in finished.stderr.splitlines() if line.startswith("gateway: ")]
    assert line.startswith(f"gateway: {told}")
    assert finished.returncode == 1
