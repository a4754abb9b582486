"""
Real proxies as processes of their own, each on two free ports, with one certificate.

They run the files of ``docs/proxies``, to the letter but for the example's values: the
name ``app.example``, its certificate, its ports 80 and 443, and the address of Daphne.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from tests.servers import processes as servers
from tests.servers.processes import START_TIMEOUT
from tests.servers.sites import ROOT
from tests.services import missing

FILES: Final = ROOT / "docs" / "proxies"


class Place(NamedTuple):
    """What stands for the example's values; ``folder`` has the certificate."""

    folder: Path
    http: int
    https: int
    backend: int


@dataclass(frozen=True)
class Kind:
    """
    A proxy: its file, and what it takes to run that on ports that anybody may open.

    ``around`` makes the configuration that includes the file, or stands before it;
    ``options`` name that, relative to the place's folder. ``ports`` are the file's own
    ways to say 80 and 443, and what the tests say instead.
    """

    name: str
    package: str
    program: str
    file: str
    around: Callable[[Place], str]
    options: Callable[[Place], list[str]]
    ports: Mapping[str, str]

    @property
    def text(self) -> str:
        """The file, as the documentation has it."""
        return (FILES / self.file).read_text()

    @property
    def examples(self) -> dict[str, str]:
        """What a reader replaces in the file, and what the tests put there."""
        return {
            **self.ports,
            "127.0.0.1:8000": "127.0.0.1:{backend}",
            "/etc/ssl/app.example.": "{folder}/site.",
            "app.example": "localhost",
        }

    def executable(self) -> str:
        """Return its program's path; skip where there is none, though never in CI."""
        path = f"{os.environ['PATH']}:/usr/sbin"  # not on everybody's path in Debian
        program = shutil.which(self.program, path=path)
        if program is None:  # pragma: no cover  # not in CI
            missing(f"{self.program} is not installed (Debian: {self.package})")
        return program


APPLICATION: Final = "tests.proxies.application:application"
# What is behind: servers with the site, which knows nothing of proxies.
DAPHNE: Final = servers.DAPHNE.serving(APPLICATION)
# Daphne pings as well, but looks only every two seconds whether it is time.
PINGING: Final = servers.SANSIO.serving(APPLICATION, "--ws-ping-interval", "0.3")


def around_nginx(place: Place) -> str:
    folders = "".join(
        f"    {name}_temp_path {place.folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        "daemon off;\n"
        "master_process off;\n"
        f"pid {place.folder}/pid;\n"
        "error_log stderr;\n"
        "events {}\n"
        "http {\n"
        "    access_log off;\n"
        f"{folders}"
        f"    include {place.folder}/site;\n"
        "}\n"
    )


def around_apache(place: Place) -> str:
    modules = "".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
        for name in (
            *("mpm_event", "authz_core", "reqtimeout"),  # what Debian has anyway
            *("headers", "proxy", "proxy_http", "ssl"),
            "rewrite",  # what the broken ones need
        )
    )
    return (
        f"{modules}"
        f"PidFile {place.folder}/pid\n"
        f"ErrorLog {place.folder}/log\n"
        "User www-data\n"  # who starts it as root has to name somebody else
        "Group www-data\n"
        "ServerName localhost\n"
        f"Listen 127.0.0.1:{place.http}\n"
        f"Listen 127.0.0.1:{place.https}\n"
        f"Include {place.folder}/site\n"
    )


def around_haproxy(place: Place) -> str:
    return "global\n    maxconn 100\n"


def around_caddy(place: Place) -> str:
    return (
        "{\n"
        "    admin off\n"
        f"    http_port {place.http}\n"
        f"    https_port {place.https}\n"
        "}\n"
        f"import {place.folder}/site\n"
    )


KINDS: Final = [
    Kind(
        name="nginx",
        package="nginx-light",
        program="nginx",
        file="nginx.conf",
        around=around_nginx,
        options=lambda place: ["-p", f"{place.folder}", "-e", "stderr", "-c", "around"],
        ports={
            "listen 80;": "listen 127.0.0.1:{http};",
            "listen 443 ssl;": "listen 127.0.0.1:{https} ssl;",
        },
    ),
    Kind(
        name="apache",
        package="apache2",
        program="apache2",
        file="apache.conf",
        around=around_apache,
        options=lambda place: ["-d", f"{place.folder}", "-f", "around", "-DFOREGROUND"],
        ports={"*:80": "127.0.0.1:{http}", "*:443": "127.0.0.1:{https}"},
    ),
    Kind(
        name="haproxy",
        package="haproxy",
        program="haproxy",
        file="haproxy.cfg",
        around=around_haproxy,
        options=lambda place: ["-db", "-f", "around", "-f", "site"],
        ports={
            "bind :80": "bind 127.0.0.1:{http}",
            "bind :443": "bind 127.0.0.1:{https}",
        },
    ),
    Kind(
        name="caddy",
        package="caddy",
        program="caddy",
        file="Caddyfile",
        around=around_caddy,
        options=lambda place: ["run", "--config", "around", "--adapter", "caddyfile"],
        ports={},  # it knows them by itself: see around_caddy
    ),
]


class Proxy(NamedTuple):
    """A proxy and its place: nothing runs yet."""

    kind: Kind
    place: Place

    @property
    def certificate(self) -> Path:
        """What a client has to trust."""
        return self.place.folder / "site.crt"

    def before(self, backend: int) -> Proxy:
        """Return the same proxy in front of another server."""
        return self._replace(place=self.place._replace(backend=backend))

    def url(self, path: str, scheme: str = "wss") -> str:
        """Return the URL of a path of the site."""
        port = self.place.https if scheme == "wss" else self.place.http
        return f"{scheme}://localhost:{port}{path}"

    def filled(self, text: str) -> str:
        """Put this proxy's ports and folder where a text has their names in braces."""
        return text.format(**self.place._asdict())

    @contextmanager
    def running(self, text: str) -> Iterator[None]:
        """Run the proxy with this configuration, and wait until it answers."""
        folder = self.place.folder
        (folder / "around").write_text(self.kind.around(self.place))
        for example, value in self.kind.examples.items():
            text = text.replace(example, self.filled(value))
        (folder / "site").write_text(text)
        log = folder / "log"
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603  # our own command
                [self.kind.executable(), *self.kind.options(self.place)],
                cwd=folder,
                # Where Caddy keeps what it makes.
                env={
                    **os.environ,
                    "XDG_CONFIG_HOME": f"{folder}",
                    "XDG_DATA_HOME": f"{folder}",
                },
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            self._wait_for(2, process, log)
            yield
        finally:
            # They have nothing to lose, and Apache would wait for sockets to close.
            with suppress(ProcessLookupError):  # ended by itself
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            # Its children end as well, but nobody can wait for them.
            self._wait_for(0, process, log)

    def _wait_for(
        self, ports: int, process: subprocess.Popen[bytes], log: Path
    ) -> None:
        """Return as soon as so many of its ports accept connections."""
        deadline = time.monotonic() + START_TIMEOUT
        while len(self.listening()) != ports:
            assert process.poll() is None or not ports, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)

    def listening(self) -> list[int]:
        """Return those of its ports that accept connections."""
        found = []
        for port in (self.place.http, self.place.https):
            with (
                suppress(ConnectionError),
                socket.create_connection(("127.0.0.1", port)),
            ):
                found.append(port)
        return found


def make_proxy(kind: Kind, folder: Path, backend: int) -> Proxy:
    """Give a proxy a folder with a certificate, and ports that are free."""
    kind.executable()
    make_certificate(folder)
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        http, https = (one.getsockname()[1] for one in sockets)
    return Proxy(kind, Place(folder, http, https, backend))


def make_certificate(folder: Path) -> None:
    """Make a certificate for localhost that vouches for itself, and both in one file."""
    subprocess.run(  # noqa: S603  # our own command
        [  # whichever openssl there is
            *("openssl", "req", "-x509", "-nodes", "-days", "2"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", folder / "site.key", "-out", folder / "site.crt"),
        ],
        check=True,
        capture_output=True,
    )
    parts = [(folder / name).read_text() for name in ("site.crt", "site.key")]
    (folder / "site.pem").write_text("".join(parts))
