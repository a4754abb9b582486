"""
The demonstration: the project on one port of this machine, its attacker on another.

``make demo`` runs it. It serves the project's own application with real Daphne, and
beside it the one thing a project must not have: a socket that nobody guards.
"""

import asyncio
import os
import secrets
import socket
import sys
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import django
from channels.auth import AuthMiddlewareStack
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.management import call_command
from django.template.loader import render_to_string

UNGUARDED_PATH = "/ws/unguarded/"


def main() -> None:
    """Prepare everything, print the addresses and the login, serve until Ctrl-C."""
    # Both ports before anything else: where one is taken, nothing has begun.
    with listen("DEMO_PORT", 8000) as site, listen("ATTACK_PORT", 8001) as attacker:
        run(site, attacker)


def run(site: socket.socket, attacker: socket.socket) -> None:
    """Run the demonstration on two sockets that listen."""
    site_port, attack_port = site.getsockname()[1], attacker.getsockname()[1]
    # Set, not only by default: one that is in the shell belongs to another project.
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    os.environ["ATTACK_PORT"] = str(attack_port)
    django.setup()
    call_command("migrate", verbosity=0)
    password = new_admin_password()
    page = render_to_string(
        "attack.html", {"site_port": site_port, "unguarded_path": UNGUARDED_PATH}
    )
    application = demo_application()
    serve_page(page.encode(), attacker)
    print(
        f"The site         http://localhost:{site_port}/",
        f"Its attacker     http://localhost:{attack_port}/",
        f"The admin        http://localhost:{site_port}/admin/",
        f"  log in as      admin  {password}",
        "Ctrl-C ends the demo.",
        sep="\n",
        flush=True,
    )
    serve(application, site)


def listen(variable: str, default: int) -> socket.socket:
    """Listen on the port that an environment variable names, on loopback only."""
    port = os.environ.get(variable) or str(default)
    try:
        if not 0 <= int(port) <= 65535:
            raise ValueError(port)
        return socket.create_server(("127.0.0.1", int(port)))
    except (OSError, ValueError) as error:
        why = (
            os.strerror(error.errno or 0)
            if isinstance(error, OSError)
            else "not a port"
        )
        sys.exit(
            f"Cannot listen on port {port}: {why}. "
            f"{variable} moves it, as in: make demo {variable}=8765"
        )


def demo_application() -> Any:
    """Return the project's application, with the admin's files and the open socket."""
    from .asgi import application
    from .consumers import UnguardedPricesConsumer

    site = ASGIStaticFilesHandler(application)
    unguarded = AuthMiddlewareStack(UnguardedPricesConsumer.as_asgi())

    async def demo(scope: Any, receive: Any, send: Any) -> None:
        is_open = scope["type"] == "websocket" and scope["path"] == UNGUARDED_PATH
        await (unguarded if is_open else site)(scope, receive, send)

    return demo


def new_admin_password() -> str:
    """Give the user admin all rights, and a password that only this run knows."""
    password = secrets.token_urlsafe(12)
    admin, _ = get_user_model().objects.get_or_create(username="admin")
    admin.is_staff = admin.is_superuser = admin.is_active = True
    admin.set_password(password)
    admin.save()
    return password


class PageHandler(BaseHTTPRequestHandler):
    """Answer every GET with one page, and keep quiet about it."""

    def __init__(self, page: bytes, *args: Any) -> None:
        self.page = page
        super().__init__(*args)

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_: Any) -> None:
        pass


def serve_page(page: bytes, listener: socket.socket) -> None:
    """Serve one page on a listening socket, in the background."""
    server = ThreadingHTTPServer(
        listener.getsockname(), partial(PageHandler, page), bind_and_activate=False
    )
    server.socket.close()
    server.socket = listener
    Thread(target=server.serve_forever, daemon=True).start()


def serve(application: Any, listener: socket.socket) -> None:
    """Serve an application with Daphne on a listening socket, until Ctrl-C."""
    from daphne.server import Server, twisted_loop

    Server(application, endpoints=[f"fd:fileno={listener.detach()}"]).run()
    twisted_loop.run_until_complete(end_all_tasks())


async def end_all_tasks() -> None:
    """Cancel what is still running in this event loop, and wait for it."""
    # Daphne stops without waiting for all tasks of the connections that it cancelled,
    # and Python 3.11 crashes at exit when it collects a task that is half done.
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
