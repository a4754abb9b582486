"""
Servers that misbehave on purpose: each answers every connection as it is told to.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# One for all tests: with coverage measured on greenlets, Python 3.11 may hang when
# threads end one after the other.
_WORKER: Final = ThreadPoolExecutor(1)


class Request:
    """What a client has sent, up to the empty line."""

    def __init__(self, text: str) -> None:
        self.text = text

    @property
    def path(self) -> str:
        """The path that it asks for."""
        return self.text.split(" ")[1]

    @property
    def origins(self) -> list[str]:
        """The values of all Origin headers."""
        return re.findall(r"^Origin: (.*?)\r$", self.text, re.MULTILINE)

    @property
    def offered(self) -> list[str]:
        """The subprotocols that it offers."""
        found = re.search(r"^Sec-WebSocket-Protocol: (.*?)\r$", self.text, re.MULTILINE)
        return found[1].split(", ") if found else []


# Gets a connection and its request, and sends what it likes.
Handler = Callable[[socket.socket, Request], None]


@contextmanager
def stand_in(
    handler: Handler, tls: ssl.SSLContext | None = None, *, greets: bool = False
) -> Iterator[int]:
    """
    Run a server on a free port of this machine, one connection after the other.

    One that greets waits for no request.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        served = _WORKER.submit(serve, listener, handler, tls, greets)
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            served.result()


def serve(
    listener: socket.socket, handler: Handler, tls: ssl.SSLContext | None, greets: bool
) -> None:
    """Serve until the listener is shut down."""
    while True:
        try:
            connection = listener.accept()[0]
        except OSError:
            return
        # Clients leave in the middle, which is their right.
        with suppress(OSError), connection, ExitStack() as stack:
            if tls:
                wrapped = tls.wrap_socket(connection, server_side=True)
                connection = stack.enter_context(wrapped)
            request = Request("" if greets else read_request(connection))
            if greets or request.text:
                handler(connection, request)


def read_request(connection: socket.socket) -> str:
    """Read a request; return nothing for what is no HTTP, such as TLS."""
    # The doctor's are short, and sent at once.
    data = connection.recv(65536)
    return data.decode("latin-1") if data[:1] == b"G" else ""


def saying(answer: bytes) -> Handler:
    """Make a handler that says the same to everybody, and hangs up."""
    return lambda connection, _request: connection.sendall(answer)


def silent(connection: socket.socket, _request: Request) -> None:
    """Say nothing, until the client leaves."""
    while connection.recv(65536):
        pass


def resetting(connection: socket.socket, _request: Request) -> None:
    """Break the connection off (RST), once there is one."""
    connection.recv(1)
    linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def page(status: str, body: str = "", **headers: str) -> bytes:
    """Make an answer with a body; an underscore in a header's name is a hyphen."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body.encode())}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", body]).encode()


def switched(request: Request, selected: str = "", **headers: str) -> bytes:
    """Make the answer that opens a socket."""
    key = re.search(r"Sec-WebSocket-Key: (\S+)", request.text)
    guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    digest = hashlib.sha1(f"{key and key[1]}{guid}".encode()).digest()  # noqa: S324  # RFC 6455
    fields = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": base64.b64encode(digest).decode(),
        **({"Sec-WebSocket-Protocol": selected} if selected else {}),
        **headers,
    }
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, "", ""]).encode()


def frame(opcode: int, payload: bytes = b"") -> bytes:
    """Make a frame as servers send it: whole, and not masked."""
    length = len(payload)
    if length < 126:
        return bytes([0x80 | opcode, length]) + payload
    return bytes([0x80 | opcode, 126]) + length.to_bytes(2) + payload


def text(value: Any) -> bytes:
    """Make a text message of a value as JSON."""
    return frame(0x1, json.dumps(value).encode())


def closing(code: int) -> bytes:
    """Make a close frame."""
    return frame(0x8, code.to_bytes(2))


def preflight(request: Request, answer: Mapping[str, Any]) -> bytes:
    """Make what a guard answers to a no-op handshake."""
    return switched(request, "wsorigin.preflight") + text(answer) + closing(1000)


def certificate(
    folder: Path, *names: str, days: Sequence[int] = (-1, 1)
) -> tuple[Path, ssl.SSLContext]:
    """
    Make a certificate that vouches for itself, valid between these days from now.

    Returns the file that clients may trust, and what a server needs.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    start, end = (datetime.now(UTC) + timedelta(days=day) for day in days)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False
        )
        .sign(key, hashes.SHA256())
    )
    public, both = folder / "site.crt", folder / "site.pem"
    public.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    both.write_bytes(
        public.read_bytes()
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return public, context
