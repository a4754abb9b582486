"""
A server that does nothing but answer 101, to show what the load generator can do.

Run as a program, with the descriptor of a socket that listens.
"""

import socket
import sys
from contextlib import suppress
from typing import Final

ANSWER: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\n\r\n"
)


def main() -> None:
    """Answer one after the other, for ever."""
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        while True:
            connection, _ = listener.accept()
            # The client resets it as soon as it has the answer, or before.
            with suppress(ConnectionError), connection:
                connection.recv(65536)
                connection.sendall(ANSWER)


if __name__ == "__main__":
    main()
