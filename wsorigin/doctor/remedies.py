"""
What to do about each cause, per proxy, in lines that can be pasted.

The lines are those of the configurations in ``docs/proxies``, which run in front of a
real Daphne. What is said of ALB and Cloudflare is what their documentation says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DOCUMENTED: Final = " (documented, not tested here)"

_MAP = """\
map $http_upgrade $connection_upgrade {
    default upgrade;
    "" close;
}
"""
_NGINX_TOGETHER = (
    "# One proxy_set_header in a location cancels all that stand outside of it.\n"
)
_APACHE_LINE = (
    'ProxyPass "/" "http://127.0.0.1:8000/" upgrade=websocket timeout=3600\n'
    "# before any other ProxyPass that covers the path"
)
_CADDY_LINE = "reverse_proxy 127.0.0.1:8000"

# By cause: an id of a finding, or one of several causes behind it.
_TABLE: Final[dict[str, dict[str, str]]] = {
    "upgrade-dropped": {
        "nginx": (
            f"# In http:\n{_MAP}# In the location:\n{_NGINX_TOGETHER}"
            "proxy_http_version 1.1;\n"
            "proxy_set_header Upgrade $http_upgrade;\n"
            "proxy_set_header Connection $connection_upgrade;"
        ),
        "apache": (
            f"{_APACHE_LINE}\n"
            "# and neither RequestHeader unset Upgrade nor force-proxy-request-1.0"
        ),
        "haproxy": (
            "Remove what deletes it, such as: http-request del-header Upgrade\n"
            "HAProxy passes Upgrade on by itself."
        ),
        "caddy": (
            "Remove what deletes it, such as: header_up -Upgrade\n"
            f"This passes it on by itself:\n{_CADDY_LINE}"
        ),
        "alb": (
            "Use an Application Load Balancer, with a target group of protocol "
            "version HTTP1; a Classic one in HTTP mode drops Upgrade."
        ),
        "cloudflare": "Switch on: Network > WebSockets.",
        "django": (
            "wsorigin.middleware.StrippedUpgradeMiddleware, first in MIDDLEWARE, "
            "answers such handshakes with the cause, and logs them."
        ),
    },
    "connection-dropped": {
        "nginx": (
            f"# In http:\n{_MAP}# In the location, where Connection may not be empty:\n"
            "proxy_http_version 1.1;\n"
            "proxy_set_header Upgrade $http_upgrade;\n"
            "proxy_set_header Connection $connection_upgrade;"
        ),
        "apache": f"Remove: RequestHeader unset Connection\n{_APACHE_LINE}",
        "haproxy": "Remove: http-request del-header Connection",
        "caddy": "Remove: header_up -Connection",
        "alb": "Nothing drops it here: look at what stands behind.",
        "cloudflare": "Switch on: Network > WebSockets.",
    },
    "host-rewritten": {
        "nginx": (
            f"{_NGINX_TOGETHER}"
            "# Not $host, which loses the port, nor $proxy_host.\n"
            "proxy_set_header Host $http_host;"
        ),
        "apache": "ProxyPreserveHost On",
        "haproxy": "Remove: http-request set-header Host",
        "caddy": "Remove: header_up Host",
        "alb": "Set the attribute routing.http.preserve_host_header.enabled to true.",
        "cloudflare": "Remove the Host header override from Rules > Origin Rules.",
        "django": (
            "Or, where every request comes through a proxy that sets "
            "X-Forwarded-Host itself: USE_X_FORWARDED_HOST = True"
        ),
    },
    "origin-stripped": {
        "nginx": 'Remove: proxy_set_header Origin "";',
        "apache": "Remove: RequestHeader unset Origin",
        "haproxy": "Remove: http-request del-header Origin",
        "caddy": "Remove: header_up -Origin",
        "alb": (
            "Nothing removes it here. CloudFront in front of it does, without the "
            "origin request policy AllViewer."
        ),
        "cloudflare": "Remove the rule from Rules > Transform Rules that removes it.",
    },
    "origin-rewritten": {
        "nginx": (
            "Remove: proxy_set_header Origin ...;\n"
            "nginx passes the browser's own on by itself."
        ),
        "apache": "Remove: RequestHeader set Origin ...",
        "haproxy": "Remove: http-request set-header Origin ...",
        "caddy": "Remove: header_up Origin ...",
        "alb": "Nothing rewrites it here: look at what stands before and behind.",
        "cloudflare": "Remove the rule from Rules > Transform Rules that sets it.",
    },
    "scheme-unknown": {
        "nginx": f"{_NGINX_TOGETHER}proxy_set_header X-Forwarded-Proto $scheme;",
        "apache": "RequestHeader set X-Forwarded-Proto expr=%{REQUEST_SCHEME}",
        "haproxy": (
            "http-request set-header X-Forwarded-Proto http\n"
            "http-request set-header X-Forwarded-Proto https if { ssl_fc }"
        ),
        "caddy": (
            "Remove: header_up -X-Forwarded-Proto\nCaddy sends the header by itself."
        ),
        "alb": "Nothing: it sends X-Forwarded-Proto by itself.",
        "cloudflare": "Nothing: it sends X-Forwarded-Proto by itself.",
        "django": (
            "SECURE_PROXY_SSL_HEADER = ('HTTP_X_FORWARDED_PROTO', 'https')\n"
            "SESSION_COOKIE_SECURE = True"
        ),
    },
    "idle-timeout": {
        "nginx": "proxy_read_timeout 3600s;",
        "apache": _APACHE_LINE,
        "haproxy": "timeout tunnel 1h",
        "caddy": "Remove from transport http: read_timeout and write_timeout",
        "alb": "Raise the attribute idle_timeout.timeout_seconds (60; at most 4000).",
        "cloudflare": (
            "Nothing raises it (about 100 s): have the server ping more often."
        ),
        "django": (
            "Or have the server ping more often than that: "
            "daphne --ping-interval 20, uvicorn --ws-ping-interval 20"
        ),
    },
    "prefix-stripped": {
        "nginx": (
            "# Without a path, not even a slash, behind the name:\n"
            "proxy_pass http://daphne;"
        ),
        "apache": (
            "# The same path, and the same slash, on both sides:\n"
            'ProxyPass "/" "http://127.0.0.1:8000/" upgrade=websocket timeout=3600'
        ),
        "haproxy": (
            "Remove what rewrites the path: http-request set-path, "
            "http-request replace-path"
        ),
        "caddy": f"Write handle for handle_path, without uri strip_prefix:\n{_CADDY_LINE}",
        "alb": "Remove the URL rewrite transform from the listener's rule.",
        "cloudflare": "Remove the rule from Rules > Transform Rules > Rewrite URL.",
        "django": (
            "Or, where it is meant: have the page connect to the path that counts "
            "through this proxy, and the routes say what is left of it."
        ),
    },
    "slash": {
        "nginx": "Remove what takes or adds it: rewrite, return, a location's own path",
        "apache": "Remove what takes or adds it: RewriteRule, DirectorySlash",
        "haproxy": "Remove what takes or adds it: http-request redirect",
        "caddy": "Remove what takes or adds it: redir, uri strip_suffix",
        "alb": "Remove the rule that redirects.",
        "cloudflare": "Remove the rule from Rules > Redirect Rules.",
        "django": (
            "Have the page connect to the very path of the route: over WebSockets, "
            "nothing appends a slash."
        ),
    },
    "not-proxied": {
        "nginx": (
            "# Before the location that serves the pages:\n"
            "location /ws/ {\n"
            "    proxy_pass http://daphne;\n"
            "    proxy_http_version 1.1;\n"
            "    proxy_set_header Upgrade $http_upgrade;\n"
            "    proxy_set_header Connection $connection_upgrade;\n"
            "    proxy_set_header Host $http_host;\n"
            "    proxy_set_header X-Forwarded-Proto $scheme;\n"
            "}"
        ),
        "apache": (
            'ProxyPass "/ws/" "http://127.0.0.1:8000/ws/" upgrade=websocket\n'
            "# before the rules that serve the pages (FallbackResource, RewriteRule)"
        ),
        "haproxy": "use_backend daphne if { path_beg /ws/ }",
        "caddy": (
            f"handle /ws/* {{\n    {_CADDY_LINE}\n}}\n"
            "# beside a handle with try_files and file_server"
        ),
        "alb": "Add a listener rule for the path /ws/* that forwards to the site.",
        "cloudflare": "Exclude the path from Workers and Pages that serve the site.",
    },
    "no-route": {
        "django": (
            "Add the path to the URLRouter of ASGI_APPLICATION, or correct the page's."
        ),
    },
    "redirected": {
        "nginx": "Exempt the path from the location with: return 301",
        "apache": "Exempt the path from: Redirect, RewriteRule ... [R]",
        "haproxy": "Exempt the path from: http-request redirect",
        "caddy": "Exempt the path from: redir",
        "alb": "Put a rule for the path before the one that redirects.",
        "cloudflare": "Exempt the path from Rules > Redirect Rules.",
        "django": "Have the page connect to the place it leads to, if that is one.",
    },
    "to-https": {
        "nginx": "Or exempt the path from: return 301 https://...",
        "apache": "Or exempt the path from: RewriteRule ... https://, Redirect",
        "haproxy": "Or exempt the path from: http-request redirect scheme https",
        "caddy": "Or name the site with http:// too, which ends its own redirect.",
        "alb": "Or put a rule for the path before the one that redirects.",
        "cloudflare": "Or switch off: SSL/TLS > Edge Certificates > Always Use HTTPS.",
        "django": "Have the page connect to wss://, not ws://.",
    },
    "proxy-refuses": {
        "nginx": "Exempt the path: auth_basic off; allow all;",
        "apache": 'Exempt the path: <Location "/ws/"> Require all granted </Location>',
        "haproxy": "Exempt the path from: http-request deny, http-request auth",
        "caddy": "Exempt the path from: basicauth, respond, forward_auth",
        "alb": "Put a rule without an authenticate action before it.",
        "cloudflare": "Exempt the path from WAF, bot and Access rules.",
        "django": "Browsers show no prompt and send no password on a WebSocket.",
    },
    "upstream-down": {
        "nginx": (
            "# Where the server listens:\nupstream daphne {\n"
            "    server 127.0.0.1:8000;\n}"
        ),
        "apache": f"# Where the server listens:\n{_APACHE_LINE}",
        "haproxy": (
            "# In the backend, where the server listens, and without proto h2:\n"
            "server daphne 127.0.0.1:8000"
        ),
        "caddy": f"# Where the server listens, without h2c://:\n{_CADDY_LINE}",
        "alb": (
            "See why the target group has no healthy target; its protocol version "
            "has to be HTTP1."
        ),
        "cloudflare": "See whether the origin's own address answers.",
        "django": "daphne -b 127.0.0.1 -p 8000 mysite.asgi:application",
    },
    "no-answer": {
        "nginx": "See whether the address of proxy_pass is the server's.",
        "django": (
            "Have connect() answer within five seconds, as Daphne wants "
            "(--websocket_connect_timeout): accept first, then ask the database."
        ),
    },
    "not-websocket-server": {
        "django": (
            "Serve ASGI_APPLICATION with daphne, hypercorn or granian, or with "
            "uvicorn and its WebSocket library: pip install 'uvicorn[standard]'. "
            "For runserver, put 'daphne' first in INSTALLED_APPS."
        ),
    },
    "http-only": {
        "django": (
            "application = ProtocolTypeRouter({\n"
            "    'http': get_asgi_application(),\n"
            "    'websocket': URLRouter(websocket_urlpatterns),\n"
            "})"
        ),
    },
    "application-error": {
        "django": "The server's log has the exception.",
    },
    "refusal-slow": {
        "django": (
            "Close before accepting instead of sending a denial response, which "
            "Daphne drops; OriginGuard knows which server can. Else see what the "
            "check waits for."
        ),
    },
    "refusal-quality": {
        "django": "Let OriginGuard stand before the consumer: it answers 403.",
    },
    "lookalike-admitted": {
        "django": (
            "Let OriginGuard, or a Guarded consumer, stand before the route; "
            "`manage.py wsorigin explain ORIGIN --path PATH` says which rule admits it. "
            "Report-only lets everybody in, and records who would have been denied."
        ),
    },
    "subprotocol-not-echoed": {
        "django": "Let OriginGuard stand before the route: it selects one.",
    },
    "token-echoed": {
        "django": "accept(subprotocol='wsorigin.v1'): never the client's last entry.",
    },
    "ticket-refused": {
        "django": "`manage.py wsorigin denied` has the reason.",
    },
    "ticket-reusable": {
        "django": "See that all processes share one database.",
    },
    "mixed-content": {
        "django": "Have the page connect to wss://, not ws://.",
    },
    "hsts-null": {
        "django": (
            "Serve the page over https, so that its origin is not null: "
            "SECURE_SSL_REDIRECT = True"
        ),
    },
    "no-diagnosis": {
        "django": (
            "Let OriginGuard stand before the route, and run this with the server's "
            "own SECRET_KEY and clock."
        ),
    },
    "clock-skew": {
        "django": "Set the clock by NTP: tickets live for seconds.",
    },
    "tls-failure": {
        "django": "Browsers refuse it too. A certificate of one's own: --ca-file",
    },
    "wrong-scheme": {
        "django": "Have the page connect with the other scheme, or to the other port.",
    },
}


def remedies_for(cause: str) -> Mapping[str, str]:
    """Return what to do about a cause, by proxy, and by ``django`` for the site itself."""
    return {
        name: text + DOCUMENTED if name in {"alb", "cloudflare"} else text
        for name, text in _TABLE.get(cause, {}).items()
    }
