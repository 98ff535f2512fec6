"""deploy/nginx: what the settings and the certificate make of nginx's configuration."""

import re
import shutil
import ssl
import subprocess

import pytest
import requests

from gateway import settings
from tests.edge.nginx import ENTRYPOINT, edge_before
from tests.gateway.server.certificates import certificate
from tests.waiting import wait_for

SETTINGS = [
    {},
    {"hsts_seconds": 31536000, "metrics": "on", "name": "predict.example"},
    {"name": "192.0.2.7", "requests_per_address": 1},
    {"GATEWAY_MAX_BODY_BYTES": 1, "GATEWAY_READ_TIMEOUT_MS": 1, "GATEWAY_PREDICT_TIMEOUT_MS": 1},
]


@pytest.mark.parametrize("given", SETTINGS, ids=repr)
def test_nginx_accepts_the_configuration(given):
    with edge_before(9, is_started=False, **given) as edge:
        done = edge.check()
    assert done.returncode == 0, done.stderr
    assert "syntax is ok" in done.stderr
    # Later versions have a directive of its own for HTTP/2, which nginx 1.22 does not know.
    assert [line for line in done.stderr.splitlines() if "[warn]" in line and '"listen ... http2"' not in line] == []


BAD = [
    ("EDGE_METRICS", "yes"),
    ("EDGE_HSTS_SECONDS", "1y"),
    ("EDGE_NAME", "a b"),
    ("EDGE_NAME", "1.2.3"),
    ("EDGE_UPSTREAM", "gateway:8080; return 200"),
    ("EDGE_UPSTREAM", "gateway:65536"),
    ("EDGE_LISTEN", "8443 default_server"),
    ("EDGE_LISTEN", "127.0.0.1:99999"),
    ("EDGE_LISTEN", "0"),
    ("EDGE_TLS_DIR", "certificates"),
    ("EDGE_TLS_DIR", "/nowhere"),
    ("EDGE_RUN_DIR", "/nowhere"),
    ("EDGE_RUN_DIR", "/proc"),
    ("EDGE_SELF_DIR", "/nowhere"),
    ("EDGE_SELF_DIR", "/proc"),
    ("EDGE_REQUESTS_PER_ADDRESS", "0"),
    ("EDGE_WATCH_SECONDS", "often"),
    ("EDGE_WATCH_SECONDS", "0"),
    ("EDGE_WATCH_SECONDS", "0.00"),
    ("GATEWAY_MAX_BODY_BYTES", "32m"),
    ("GATEWAY_READ_TIMEOUT_MS", "10\n20"),
    ("GATEWAY_PREDICT_TIMEOUT_MS", "-1"),
]


@pytest.mark.parametrize(("variable", "value"), BAD)
def test_a_bad_setting_stops_the_start_with_its_name_and_value(variable, value):
    with edge_before(9, is_started=False, **{variable: value}) as edge:
        done = edge.check()
    assert done.returncode == 1
    assert done.stderr.startswith(f"edge: {variable}={value}: expected ")


def test_a_machine_without_nginx_is_told_what_to_install(tmp_path):
    """/usr/sbin is looked at too, so that the shell is given another root of its programs."""
    shell = shutil.which("dash") or "/bin/sh"
    (tmp_path / "entrypoint.sh").write_text(ENTRYPOINT.read_text().replace("/usr/sbin", str(tmp_path)))
    for program in ("dirname", "id"):
        (tmp_path / program).symlink_to(shutil.which(program))
    done = subprocess.run(
        [shell, str(tmp_path / "entrypoint.sh")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "edge: there is no nginx: install it (Debian: apt-get install nginx)\n")


def test_the_limits_are_the_gateways_own_by_default():
    given = dict(re.findall(r"\$\{(GATEWAY_\w+):-(\d+)\}", ENTRYPOINT.read_text()))
    rows = {row.variable: row.default for row in settings.setting_rows()}
    assert given == {name: rows[name] for name in given}
    assert len(given) == 3


def test_a_self_signed_certificate_is_made_once():
    with edge_before(9) as edge:
        first = edge.certificate.read_bytes()
        assert edge.certificate.with_name("edge-key.pem").stat().st_mode & 0o077 == 0
        edge.stop()
        edge.start()
        assert edge.certificate.read_bytes() == first


def test_a_given_certificate_is_shown_and_no_other_one_is_made():
    with edge_before(9, is_started=False) as edge:
        give(edge, "localhost")
        edge.start()
        assert edge.get("/healthz", verify=str(edge.tls_dir / "cert.pem")).status_code == 502
        assert not edge.certificate.exists()


def test_a_certificate_that_is_replaced_is_shown_without_a_restart():
    with edge_before(9) as edge:
        assert edge.get("/healthz").status_code == 502
        give(edge, "localhost")
        wait_for(lambda: shown(edge) == (edge.tls_dir / "cert.pem").read_text().strip())
        assert "is in use" in edge.errors()


def test_a_certificate_that_cannot_be_used_leaves_the_old_one():
    with edge_before(9) as edge:
        first = shown(edge)
        (edge.tls_dir / "cert.pem").write_text("no certificate")
        (edge.tls_dir / "key.pem").write_text("no key")
        wait_for(lambda: "the old one stays" in edge.errors())
        assert shown(edge) == first
        give(edge, "localhost")
        wait_for(lambda: shown(edge) == (edge.tls_dir / "cert.pem").read_text().strip())


@pytest.mark.parametrize(("given", "missing"), [("cert.pem", "key.pem"), ("key.pem", "cert.pem")])
def test_half_a_certificate_stops_the_start(given, missing):
    with edge_before(9, is_started=False) as edge:
        (edge.tls_dir / given).write_text("anything")
        done = edge.check()
    assert done.returncode == 1
    assert re.fullmatch(rf"edge: \S+/given/{missing} is missing: it belongs to \S+/given/{given}\n", done.stderr)


@pytest.mark.parametrize(("seconds", "header"), [(0, None), (31536000, "max-age=31536000")])
def test_hsts_is_sent_when_it_is_set_and_with_errors_too(recorded, seconds, header):
    with edge_before(recorded.port, hsts_seconds=seconds) as edge:
        assert edge.get("/v2").headers.get("Strict-Transport-Security") == header
        recorded.answer = lambda head: None
        answer = edge.get("/v2")
    assert (answer.status_code, answer.headers.get("Strict-Transport-Security")) == (502, header)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_1_1_is_refused_and_1_2_and_1_3_are_spoken(recording_edge):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = recording_edge.context()
        context.minimum_version = context.maximum_version = version
        with recording_edge.wire(context) as wire:
            assert wire.sock.version() == version.name.replace("_", ".")
    old = recording_edge.context()
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError), recording_edge.wire(old):
        pass


def test_nothing_says_which_nginx_it_is(recording_edge):
    assert recording_edge.get("/v2").headers["Server"] == "nginx"


def test_plain_http_is_refused_in_json(recording_edge):
    answer = requests.get(recording_edge.address.replace("https", "http") + "/v2", timeout=10)
    assert (answer.status_code, answer.json()) == (400, {"error": "expected HTTPS, got HTTP"})


def give(edge, name):
    """Put another certificate into the folder of those that are given."""
    made = certificate(edge.folder, name)
    shutil.copyfile(made.key, edge.tls_dir / "key.pem")
    shutil.copyfile(made.certificate, edge.tls_dir / "cert.pem")


def shown(edge):
    return ssl.get_server_certificate(("127.0.0.1", edge.port), timeout=10).strip()
