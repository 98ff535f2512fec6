"""HTTPS: what a client sees, and a certificate that is renewed while the server runs."""

import asyncio
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from gateway.server.limits import LINGER_S
from gateway.server.tls import CertificateFiles, Renewal
from tests.gateway.server.certificates import certificate
from tests.gateway.server.http_cases_connection import GET, PREDICT
from tests.gateway.server.served import Served, Server
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, CertificateFiles]:
    folder = tmp_path_factory.mktemp("certificates")
    return {name: certificate(folder, name) for name in ("first", "second")}


@pytest.fixture
def files(made, tmp_path) -> CertificateFiles:
    """The first one, in files that a test may replace."""
    files = CertificateFiles(tmp_path / "tls.pem", tmp_path / "tls.key")
    replace(files, made["first"])
    return files


def replace(files: CertificateFiles, new: CertificateFiles) -> None:
    """As a certificate manager does: each file by a new one."""
    for old_path, new_path in ((files.certificate, new.certificate), (files.key, new.key)):
        shutil.copy(new_path, f"{old_path}.new")
        Path(f"{old_path}.new").replace(old_path)


@pytest.mark.parametrize("days", [1, 400, 9_000, 40_000])
def test_the_end_of_a_certificate_is_the_one_that_openssl_tells(tmp_path, days):
    """After 2049 it is written in another form."""
    files = certificate(tmp_path, "one", days)
    told = subprocess.run(
        ["openssl", "x509", "-enddate", "-noout", "-in", files.certificate], check=True, capture_output=True, text=True
    ).stdout
    assert files.end_s() == ssl.cert_time_to_seconds(told.strip().partition("=")[2])


def test_the_first_end_of_a_chain_counts(made, tmp_path):
    late = certificate(tmp_path, "late", 400)
    chain = tmp_path / "chain.pem"
    chain.write_text(f"explanations before\n{late.certificate.read_text()}\n{made['first'].certificate.read_text()}")
    assert CertificateFiles(chain, late.key).end_s() == made["first"].end_s()


@pytest.mark.parametrize("kept", [1, 20, 100, 300])
def test_a_certificate_that_is_cut_off_has_no_end(made, tmp_path, kept):
    der = ssl.PEM_cert_to_DER_cert(made["first"].certificate.read_text())[:kept]
    spoiled = tmp_path / "spoiled.pem"
    spoiled.write_text(ssl.DER_cert_to_PEM_cert(der))
    with pytest.raises(ValueError, match=r"cut off|not enough values"):
        CertificateFiles(spoiled, made["first"].key).end_s()


def test_the_end_of_a_renewed_certificate_is_told(files, tmp_path):
    ends: list[float] = []
    renewal = Renewal(files, files.context(), ends.append)
    late = certificate(tmp_path, "late", 400)
    replace(files, late)
    renewal.look()
    assert ends == [pytest.approx(late.end_s() - 398 * 86400, abs=120), late.end_s()]


def connect(port: int, trusted: CertificateFiles, **changes: object) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=trusted.certificate)
    for name, value in changes.items():
        setattr(context, name, value)
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname="localhost")


def ask(port: int, trusted: CertificateFiles, sent: bytes = GET) -> bytes:
    with connect(port, trusted) as sock:
        sock.sendall(sent)
        return sock.recv(65536)


def test_a_request_over_tls_is_answered_and_knows_its_scheme(files, made):
    with Served(tls=files.context()) as served:
        answer = ask(served.port, made["first"], GET.replace(b"/healthz", b"/echo"))
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b'"scheme": "https"' in answer


def test_a_client_without_tls_and_one_of_the_past_are_not_answered_and_do_no_harm(files, made):
    with Served(tls=files.context()) as served:
        with socket.create_connection(("127.0.0.1", served.port), 10) as plain:
            plain.sendall(GET)
            assert b"HTTP" not in plain.recv(100)
        with pytest.raises(ssl.SSLError), pytest.warns(DeprecationWarning, match="TLSv1_1"):
            connect(served.port, made["first"], maximum_version=ssl.TLSVersion.TLSv1_1)
        assert ask(served.port, made["first"]).startswith(b"HTTP/1.1 200 OK")


def test_a_connection_over_tls_that_is_not_kept_is_closed_at_once(files, made):
    with Served(tls=files.context()) as served, connect(served.port, made["first"]) as sock:
        sock.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        sock.settimeout(LINGER_S / 2)
        received = b"".join(iter(lambda: sock.recv(65536), b""))
        assert b"Connection: close" in received


def test_a_refusal_reaches_a_client_that_is_still_sending_over_tls(files, made):
    with Served(tls=files.context()) as served, connect(served.port, made["first"]) as sock:
        sock.sendall(PREDICT + b"Content-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
        assert sock.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_renewed_certificate_is_shown_to_new_clients(files, made):
    context = files.context()
    renewal = Renewal(files, context)
    with Served(tls=context) as served, connect(served.port, made["first"]) as kept:
        replace(files, made["second"])
        renewal.look()
        assert ask(served.port, made["second"]).startswith(b"HTTP/1.1 200 OK")
        kept.sendall(GET)
        assert kept.recv(65536).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("broken", ["no PEM", "another key", "missing"])
def test_broken_files_are_told_and_the_old_certificate_stays(files, made, broken, caplog):
    context = files.context()
    renewal = Renewal(files, context)
    if broken == "no PEM":
        files.certificate.write_text("nonsense")
    elif broken == "another key":
        shutil.copy(made["second"].key, files.key)
    else:
        files.key.unlink()
    for _ in range(3):
        renewal.look()
    told = [record for record in caplog.records if "cannot be used" in record.getMessage()]
    assert len(told) == (broken != "missing")  # one that is missing is on its way, or will be missed at the next start
    with Served(tls=context) as served:
        assert ask(served.port, made["first"]).startswith(b"HTTP/1.1 200 OK")
        replace(files, made["second"])
        renewal.look()
        assert ask(served.port, made["second"]).startswith(b"HTTP/1.1 200 OK")


def test_the_files_are_looked_at_again_and_again(files, made):
    renewal = Renewal(files, files.context())
    looks = []
    renewal.look = lambda: looks.append(1)  # type: ignore[method-assign]

    async def watch() -> None:
        watching = asyncio.create_task(renewal.watch(every_s=0.001))
        while len(looks) < 3:
            await asyncio.sleep(0.001)
        watching.cancel()

    asyncio.run(asyncio.wait_for(watch(), 10))


def test_the_worker_serves_tls_and_takes_up_a_renewed_certificate(files, made, tmp_path):
    server = Server(tmp_path, tls=[str(files.certificate), str(files.key)])
    try:
        server.wait_until_ready()
        assert ask(server.port, made["first"]).startswith(b"HTTP/1.1 200 OK")
        replace(files, made["second"])
        wait_for(lambda: shows(server, made["second"]), 30, interval_s=0.5)
    finally:
        server.stop()


def shows(server: Server, trusted: CertificateFiles) -> bool:
    try:
        return ask(server.port, trusted).startswith(b"HTTP/1.1 200 OK")
    except ssl.SSLError:
        return False


def test_a_start_with_broken_files_fails(files, tmp_path):
    files.key.write_text("nonsense")
    server = Server(tmp_path, tls=[str(files.certificate), str(files.key)])
    assert server.process.wait(20) != 0
