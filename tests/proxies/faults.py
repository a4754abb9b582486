"""
The usual mistakes in a proxy's configuration, each one change to the right file.

So the remedy is to put back what stands there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple

# What stands in the file, and what stands there instead.
Change = tuple[str, str]


class Fault(NamedTuple):
    """
    A mistake: one change to the proxy's file in ``docs/proxies``.

    ``finding`` is what the doctor calls it. Its remedy has to name ``remedy``, which is
    the offending line where one has to go, and by default what stood in the file. A raw
    client gets ``status``; where that is 101, ``seen`` is what the site sees of the
    handshake, None for nothing.
    """

    proxy: str
    name: str
    finding: str
    change: Change
    remedy: str = ""
    status: int = 101
    seen: Mapping[str, str | None] = {}
    scheme: str = "wss"

    @property
    def to_name(self) -> str:
        """What a remedy has to name."""
        return self.remedy or self.change[0].strip()

    def spoil(self, text: str) -> str:
        """Make the mistake."""
        right, wrong = self.change
        assert right in text
        return text.replace(right, wrong)


def adding(line: str, wrong: str) -> Change:
    """Leave a line as it is, and put a wrong one below it."""
    return line, f"{line}\n    {wrong}"


nginx: Final = partial(Fault, "nginx")
NGINX_UPGRADE: Final = "proxy_set_header Upgrade $http_upgrade;"
NGINX_CONNECTION: Final = "proxy_set_header Connection $connection_upgrade;"
NGINX_HOST: Final = "proxy_set_header Host $http_host;"
NGINX_LOCATION: Final = "location / {\n        proxy_pass http://daphne;"
NGINX_NAME: Final = "server_name app.example;"
NGINX: Final = [
    nginx("no Upgrade", "upgrade-dropped", (NGINX_UPGRADE, ""), status=404),
    nginx(
        "no header at all",
        "upgrade-dropped",
        (f"{NGINX_UPGRADE}\n        {NGINX_CONNECTION}\n", ""),
        remedy=NGINX_UPGRADE,
        status=404,
    ),
    nginx("no Connection", "connection-dropped", (NGINX_CONNECTION, ""), status=400),
    nginx(
        "keepalive recipe",
        "connection-dropped",
        (NGINX_CONNECTION, 'proxy_set_header Connection "";'),
        status=400,
    ),
    nginx("no Host", "host-rewritten", (NGINX_HOST, ""), seen={"host": "daphne"}),
    nginx(
        "Host without port",
        "host-rewritten",
        (NGINX_HOST, "proxy_set_header Host $host;"),
        seen={"host": "localhost"},
    ),
    nginx(
        "Origin stripped",
        "origin-stripped",
        adding(NGINX_HOST, 'proxy_set_header Origin "";'),
        remedy="proxy_set_header Origin",
        seen={"origin": None},
    ),
    nginx(
        "Origin rewritten",
        "origin-rewritten",
        adding(NGINX_HOST, "proxy_set_header Origin $scheme://$http_host;"),
        remedy="proxy_set_header Origin",
        seen={"origin": "https://localhost:{https}"},
    ),
    nginx(
        "no scheme",
        "scheme-unknown",
        ("proxy_set_header X-Forwarded-Proto $scheme;", ""),
        seen={"x-forwarded-proto": None},
    ),
    nginx(
        "prefix stripped",
        "wrong-route",
        (NGINX_LOCATION, "location /ws/ {\n        proxy_pass http://daphne/;"),
        remedy="proxy_pass http://daphne;",
        seen={"path": "/witness/"},
    ),
    # Daphne reads "//witness/" as a host and the path "/".
    nginx(
        "slash doubled",
        "wrong-route",
        (NGINX_LOCATION, "location /ws {\n        proxy_pass http://daphne/;"),
        remedy="proxy_pass http://daphne;",
        status=500,
    ),
    nginx(
        "slash lost",
        "wrong-route",
        (NGINX_LOCATION, "location /ws/ {\n        proxy_pass http://daphne/ws;"),
        remedy="proxy_pass http://daphne;",
        status=500,
    ),
    nginx(
        "redirect to https",
        "redirected",
        adding(
            NGINX_NAME,
            "if ($scheme = http) { return 301 https://$http_host$request_uri; }",
        ),
        remedy="return 301",
        status=301,
        scheme="ws",
    ),
    nginx(
        "redirect without slash",
        "redirected",
        adding(NGINX_NAME, "rewrite ^(.+)/$ $1 permanent;"),
        remedy="rewrite",
        status=301,
    ),
    nginx(
        "page for every path",
        "wrong-route",
        (
            NGINX_LOCATION,
            "location / {\n"
            "        default_type text/html;\n"
            '        return 200 "<!doctype html>";',
        ),
        remedy="proxy_pass http://daphne;",
        status=200,
    ),
    nginx(
        "forbidden",
        "proxy-refuses",
        adding(NGINX_NAME, "deny all;"),
        remedy="allow all;",
        status=403,
    ),
    nginx(
        "nothing upstream",
        "upstream-down",
        ("server 127.0.0.1:8000;", "server 127.0.0.1:1;"),
        status=502,
    ),
]

apache: Final = partial(Fault, "apache")
APACHE_HOST: Final = "ProxyPreserveHost On"
APACHE_PASS: Final = 'ProxyPass "/" "http://127.0.0.1:8000/"'
APACHE: Final = [
    # No case without Connection: mod_proxy_http writes its own.
    apache("no Upgrade", "upgrade-dropped", (" upgrade=websocket", ""), status=404),
    apache(
        "Upgrade unset",
        "upgrade-dropped",
        adding(APACHE_HOST, "RequestHeader unset Upgrade"),
        remedy="upgrade=websocket",
        status=404,
    ),
    apache(
        "no Host",
        "host-rewritten",
        (APACHE_HOST, "ProxyPreserveHost Off"),
        seen={"host": "127.0.0.1:{backend}"},
    ),
    apache(
        "Origin stripped",
        "origin-stripped",
        adding(APACHE_HOST, "RequestHeader unset Origin"),
        remedy="RequestHeader unset Origin",
        seen={"origin": None},
    ),
    apache(
        "Origin rewritten",
        "origin-rewritten",
        adding(
            APACHE_HOST,
            "RequestHeader set Origin expr=%{REQUEST_SCHEME}://%{HTTP_HOST}",
        ),
        remedy="RequestHeader set Origin",
        seen={"origin": "https://localhost:{https}"},
    ),
    apache(
        "no scheme",
        "scheme-unknown",
        ("RequestHeader set X-Forwarded-Proto expr=%{REQUEST_SCHEME}", ""),
        seen={"x-forwarded-proto": None},
    ),
    apache(
        "prefix stripped",
        "wrong-route",
        (APACHE_PASS, 'ProxyPass "/ws/" "http://127.0.0.1:8000/"'),
        seen={"path": "/witness/"},
    ),
    apache(
        "slash doubled",
        "wrong-route",
        (APACHE_PASS, 'ProxyPass "/ws" "http://127.0.0.1:8000/"'),
        status=500,
    ),
    apache(
        "redirect to https",
        "redirected",
        adding(
            APACHE_HOST,
            "RewriteEngine On\n"
            "    RewriteCond %{HTTPS} off\n"
            "    RewriteRule ^ https://%{HTTP_HOST}%{REQUEST_URI} [R=301]",
        ),
        remedy="RewriteRule",
        status=301,
        scheme="ws",
    ),
    apache(
        "redirect without slash",
        "redirected",
        adding(APACHE_HOST, "RewriteEngine On\n    RewriteRule ^(.+)/$ $1 [R=301]"),
        remedy="RewriteRule",
        status=301,
    ),
    apache(
        "forbidden",
        "proxy-refuses",
        adding(
            APACHE_HOST, "<Location />\n        Require all denied\n    </Location>"
        ),
        remedy="Require all granted",
        status=403,
    ),
    apache(
        "nothing upstream",
        "upstream-down",
        (APACHE_PASS, 'ProxyPass "/" "http://127.0.0.1:1/"'),
        status=503,
    ),
]

haproxy: Final = partial(Fault, "haproxy")
HAPROXY_SCHEME: Final = "http-request set-header X-Forwarded-Proto https if { ssl_fc }"
HAPROXY: Final = [
    haproxy(
        "no Upgrade",
        "upgrade-dropped",
        adding(HAPROXY_SCHEME, "http-request del-header Upgrade"),
        remedy="http-request del-header Upgrade",
        status=404,
    ),
    haproxy(
        "no Connection",
        "connection-dropped",
        adding(HAPROXY_SCHEME, "http-request del-header Connection"),
        remedy="http-request del-header Connection",
        status=400,
    ),
    haproxy(
        "Host set",
        "host-rewritten",
        adding(HAPROXY_SCHEME, "http-request set-header Host daphne"),
        remedy="http-request set-header Host",
        seen={"host": "daphne"},
    ),
    haproxy(
        "Origin stripped",
        "origin-stripped",
        adding(HAPROXY_SCHEME, "http-request del-header Origin"),
        remedy="http-request del-header Origin",
        seen={"origin": None},
    ),
    haproxy(
        "Origin rewritten",
        "origin-rewritten",
        adding(
            HAPROXY_SCHEME, "http-request set-header Origin https://%[req.hdr(host)]"
        ),
        remedy="http-request set-header Origin",
        seen={"origin": "https://localhost:{https}"},
    ),
    haproxy(
        "no scheme",
        "scheme-unknown",
        (
            "    http-request set-header X-Forwarded-Proto http\n    " + HAPROXY_SCHEME,
            "",
        ),
        remedy=HAPROXY_SCHEME,
        seen={"x-forwarded-proto": None},
    ),
    haproxy(
        "scheme is http",
        "scheme-unknown",
        (HAPROXY_SCHEME, ""),
        seen={"x-forwarded-proto": "http"},
    ),
    haproxy(
        "prefix stripped",
        "wrong-route",
        adding(HAPROXY_SCHEME, r"http-request replace-path /ws(/.*) \1"),
        remedy="replace-path",
        seen={"path": "/witness/"},
    ),
    haproxy(
        "redirect to https",
        "redirected",
        adding(
            HAPROXY_SCHEME,
            "http-request redirect scheme https code 301 unless { ssl_fc }",
        ),
        remedy="http-request redirect",
        status=301,
        scheme="ws",
    ),
    haproxy(
        "redirect without slash",
        "redirected",
        adding(
            HAPROXY_SCHEME,
            "http-request redirect code 301 location %[path,regsub(/$,)] "
            "if { path_end / }",
        ),
        remedy="http-request redirect",
        status=301,
    ),
    haproxy(
        "forbidden",
        "proxy-refuses",
        adding(HAPROXY_SCHEME, "http-request deny"),
        remedy="http-request deny",
        status=403,
    ),
    haproxy(
        "nothing upstream",
        "upstream-down",
        ("server daphne 127.0.0.1:8000", "server daphne 127.0.0.1:1"),
        status=503,
    ),
]

caddy: Final = partial(Fault, "caddy")
CADDY_PROXY: Final = "reverse_proxy 127.0.0.1:8000"


def within(wrong: str) -> Change:
    """Give Caddy's one line a block, with a wrong line in it."""
    return CADDY_PROXY, f"{CADDY_PROXY} {{\n\t\t{wrong}\n\t}}"


CADDY: Final = [
    caddy(
        "no Upgrade",
        "upgrade-dropped",
        within("header_up -Upgrade"),
        remedy="header_up -Upgrade",
        status=404,
    ),
    caddy(
        "no Connection",
        "connection-dropped",
        within("header_up -Connection"),
        remedy="header_up -Connection",
        status=400,
    ),
    caddy(
        "Host set",
        "host-rewritten",
        within("header_up Host {upstream_hostport}"),
        remedy="header_up Host",
        seen={"host": "127.0.0.1:{backend}"},
    ),
    caddy(
        "Origin stripped",
        "origin-stripped",
        within("header_up -Origin"),
        remedy="header_up -Origin",
        seen={"origin": None},
    ),
    caddy(
        "Origin rewritten",
        "origin-rewritten",
        within("header_up Origin {scheme}://{hostport}"),
        remedy="header_up Origin",
        seen={"origin": "https://localhost:{https}"},
    ),
    caddy(
        "no scheme",
        "scheme-unknown",
        within("header_up -X-Forwarded-Proto"),
        remedy="header_up -X-Forwarded-Proto",
        seen={"x-forwarded-proto": None},
    ),
    caddy(
        "prefix stripped",
        "wrong-route",
        (CADDY_PROXY, f"handle_path /ws/* {{\n\t\t{CADDY_PROXY}\n\t}}"),
        remedy="handle_path",
        seen={"path": "/witness/"},
    ),
    # A site without its http address gets that redirect by itself.
    caddy(
        "redirect to https",
        "redirected",
        (f"http://app.example {{\n\t{CADDY_PROXY}\n}}\n", ""),
        remedy="http://",
        status=308,
        scheme="ws",
    ),
    caddy(
        "redirect without slash",
        "redirected",
        (
            CADDY_PROXY,
            "@slash path_regexp slash ^(.+)/$\n"
            "\tredir @slash {re.slash.1} 301\n"
            f"\t{CADDY_PROXY}",
        ),
        remedy="redir",
        status=301,
    ),
    caddy(
        "nothing upstream",
        "upstream-down",
        (CADDY_PROXY, "reverse_proxy 127.0.0.1:1"),
        status=502,
    ),
]

FAULTS: Final = [*NGINX, *APACHE, *HAPROXY, *CADDY]

# One for each proxy.
UPGRADE_DROPPED: Final = [fault for fault in FAULTS if fault.name == "no Upgrade"]

# An open socket is cut after a second of silence.
IDLE: Final = [
    nginx(
        "idle",
        "idle-timeout",
        ("proxy_read_timeout 3600s;", "proxy_read_timeout 1s;"),
    ),
    # What a server's own Timeout does; the file's time-out wins over it.
    apache("idle", "idle-timeout", (" timeout=3600", "\n    Timeout 1")),
    haproxy(
        "idle",
        "idle-timeout",
        ("timeout tunnel 1h", "timeout tunnel 1s"),
    ),
    caddy(
        "idle",
        "idle-timeout",
        within("transport http {\n\t\t\tread_timeout 1s\n\t\t}"),
        remedy="read_timeout",
    ),
]
