"""/openapi.json against the stack that it describes: what the document says is what happens."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from openapi_spec_validator import validate

from tests.stack.conftest import EXAMPLES, ROOT, Stack

REQUESTS = int(os.environ.get("SCHEMATHESIS_REQUESTS", "600"))
"""How many requests schemathesis generates at least; from 5,000 on it also tries the bounds of every value."""

SEED = os.environ.get("SCHEMATHESIS_SEED", "1")
COVERED = 4000
"""Requests that the bounds make, more or less."""

TAKE_VALUES = 40
"""Operations that take values, more or less: of the others there is but one request."""


@pytest.fixture(scope="module")
def strict_stack(exported, tmp_path_factory):
    """A stack whose answers are JSON for every parser, also where numbers are not finite."""
    running = Stack(tmp_path_factory.mktemp("openapi"), exported, EXAMPLES, non_finite="null", predict_timeout_ms=10_000)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(scope="module")
def document(strict_stack) -> dict:
    return strict_stack.get("/openapi.json").json()


def operations(document: dict) -> list[tuple[str, str, dict]]:
    return [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    ]


def test_the_document_is_valid(document):
    validate(document)


def test_every_example_is_answered_unless_it_says_that_it_is_a_guess(strict_stack, document):
    sent = guessed = 0
    for path, method, operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for example in content.get("examples", {}).values():
            response = requests.request(method, strict_stack.address + path, json=example["value"], timeout=30)
            is_guess = "guess" in example.get("description", "")
            assert response.status_code in ((200, 400) if is_guess else (200,)), (path, example, response.text)
            sent, guessed = sent + 1, guessed + is_guess
    assert sent - guessed >= 3 * len(EXAMPLES), "every model takes at least its default signature, in every dialect"


def test_the_examples_of_the_example_models_work_even_where_they_are_guesses(strict_stack, document):
    """But for the serialized tf.Example that Predict would take: nobody can guess that."""
    for path, method, operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for name, example in content.get("examples", {}).items():
            if path.endswith((":predict", "/infer")) and name.startswith(("regress_x_", "classify_")):
                continue
            response = requests.request(method, strict_stack.address + path, json=example["value"], timeout=30)
            assert response.status_code == 200, (path, example, response.text)


def test_every_path_of_a_get_is_answered(strict_stack, document):
    for path, method, operation in operations(document):
        if method == "get" and "{" not in path:
            response = strict_stack.get(path)
            assert "X-Request-Id" in response.headers
            if path in ("/admin/rollouts", "/admin/keys", "/admin/log"):
                # This gateway has neither a folder for rollouts, nor keys, nor a prediction log.
                assert response.status_code == 404
                assert "404" in operation["responses"]
                continue
            assert response.status_code == 200, path
            assert response.headers["Content-Type"].split(";")[0] in operation["responses"]["200"]["content"]


@pytest.mark.timeout(900)
def test_schemathesis_finds_no_answer_that_is_not_in_the_document(strict_stack, document, tmp_path):
    """No 5xx, no status, content type, header or body that the document does not have, whatever is sent."""
    # From a file: it would leave out the address from which it has the document.
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document))
    report = schemathesis(path, strict_stack.address)
    assert report.returncode == 0, report.stdout[-20_000:] + report.stderr
    tested = re.search(r"Tested: (\d+)", report.stdout)
    generated = re.search(r"(\d+) generated", report.stdout)
    assert tested
    assert generated
    assert int(tested[1]) == len(operations(document))
    assert int(generated[1]) >= REQUESTS
    assert "Traceback" not in strict_stack.gateway.log.read_text()
    assert strict_stack.is_ready(), "and the gateway has taken no harm"


def schemathesis(document: Path, address: str) -> subprocess.CompletedProcess:
    is_whole = REQUESTS >= 5000
    phases = "examples,coverage,fuzzing" if is_whole else "examples,fuzzing"
    most = (REQUESTS - COVERED * is_whole) // TAKE_VALUES
    # The settings of the program come before the command's.
    program = [sys.executable, "-m", "schemathesis.cli", "--config-file=tests/stack/schemathesis.toml"]
    command = ["run", str(document), f"--url={address}", f"--phases={phases}", f"--max-examples={most}", f"--seed={SEED}"]
    # One worker: with more threads CPython 3.11's parser, which Hypothesis calls, miscounts its recursion (SystemError).
    options = ["--continue-on-failure", "--workers=1", "--max-failures=50", "--suppress-health-check=all"]
    return subprocess.run([*program, *command, *options], check=False, cwd=ROOT, capture_output=True, text=True)
