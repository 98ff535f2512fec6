"""Why the model server cannot be connected to, from gRPC's text, where a setting may be the cause.

The texts are those of grpcio 1.85 (tests hold them against real servers). Addresses are left out: clients may see the reasons.
"""

from typing import Final

from gateway.serving_tls import CA, CERT, NAME, ServingTls

NOT_RESOLVED: Final = "the name in GATEWAY_SERVING_TARGET cannot be resolved"

_RESOLVING: Final = "errors resolving"

# The first that gRPC's text holds counts.
_HANDSHAKE: Final = (
    ("CERTIFICATE_VERIFY_FAILED: certificate has expired", "the model server's certificate has expired"),
    ("CERTIFICATE_VERIFY_FAILED: certificate is not yet valid", "the model server's certificate is not valid yet"),
    ("CERTIFICATE_VERIFY_FAILED", f"the model server's certificate is not signed by those of {CA}"),
    ("Hostname Verification Check failed", f"the model server's certificate is for another name; {NAME} must be one in it"),
    ("WRONG_VERSION_NUMBER", f"the model server speaks no TLS, and {CA} is set"),
)
# A server that refuses a client's certificate says so (in TLS 1.3 after the handshake) and closes; gRPC tells at most the end.
_CLOSED: Final = ("_ALERT_", "Socket closed", "Connection reset", "Broken pipe")
# A server of TLS takes gRPC's first bytes for nonsense.
_NO_HTTP2: Final = ("Socket closed", "Connection reset", "Expected SETTINGS frame")


# No setting but the address itself can mend these, and the server may only be late. So clients are not told, but the log is.
_UNANSWERED: Final = ("Connection refused", "No route to host", "Network is unreachable")


def unanswered(details: str) -> str:
    """What the log says of ``details``, gRPC's text, if nobody answers at the address; else empty."""
    return "nobody answers at this address" if any(text in details for text in _UNANSWERED) else ""


def reason_of(details: str, tls: ServingTls | None) -> str:
    """The reason in the words of the settings; empty when ``details``, gRPC's text, names nothing that a setting could mend."""
    if _RESOLVING in details:
        return NOT_RESOLVED
    if tls is None:
        speaks_tls = f"the model server closes the connection: it may speak TLS, and {CA} is not set"
        return speaks_tls if any(text in details for text in _NO_HTTP2) else ""
    for text, reason in _HANDSHAKE:
        if text in details:
            return reason
    # While the handshake is read, nothing has been said of certificates yet.
    if "Handshake read failed" in details or not any(text in details for text in _CLOSED):
        return ""
    closes = "the model server closes the connection"
    if tls.certificate is None:
        return f"{closes}: it may want a client's certificate, and {CERT} is not set"
    return f"{closes}: it may not trust the certificate of {CERT}"
