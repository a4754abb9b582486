"""
The site under WSGI, by the server that ``runserver`` uses.

Run as a program: ``python -m tests.preflight.wsgi DESCRIPTOR``, a listening socket's.
"""

import socket
import sys
from contextlib import suppress

from django.core.servers.basehttp import WSGIRequestHandler, WSGIServer
from django.core.wsgi import get_wsgi_application

if __name__ == "__main__":  # pragma: no branch
    listener = socket.socket(fileno=int(sys.argv[1]))
    server = WSGIServer(
        listener.getsockname(), WSGIRequestHandler, bind_and_activate=False
    )
    server.socket = listener
    server.server_name, server.server_port = listener.getsockname()
    server.setup_environ()
    server.set_app(get_wsgi_application())
    with suppress(KeyboardInterrupt):
        server.serve_forever()
