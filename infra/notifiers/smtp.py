"""A conversation with a mail server that may be broken off from outside, and that reaches no forbidden address.

References:
    RFC 5321; RFC 3207 (STARTTLS); RFC 8314 (implicit TLS).
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from email.message import EmailMessage
from threading import Lock

from inferwatch.infra.addresses import Guard
from inferwatch.schemas.receivers import EmailReceiver


class Conversation:
    """Sends one mail, in a thread. ``abort`` ends it from another one.

    Args:
        settings: of the receiver.
        timeout: seconds that each answer may take.
        context: which certificates are trusted.
    """

    def __init__(self, settings: EmailReceiver, timeout: float, context: ssl.SSLContext) -> None:
        self._settings = settings
        self._timeout = timeout
        self._context = context
        self._guard = Guard(settings.allow_networks)
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self._aborted = False

    def send(self, mail: EmailMessage, to: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        """Send ``mail``; return whom the server did not accept it for, if it accepted it for anybody.

        Raises:
            Forbidden: the server's name leads only where it must not.
            OSError: no connection, no answer in time, or a certificate that is not trusted.
            smtplib.SMTPException: the server refused.
        """
        own = self._settings
        with _Server(self, own.host, own.port, self._timeout) as server:
            server.ehlo_or_helo_if_needed()
            if own.security == "starttls":
                server.starttls(context=self._context)
                if server.sock is not None:
                    self._hold(server.sock)
            if own.user:
                server.login(own.user, own.password.get_secret_value())
            return server.send_message(mail, own.sender, list(to))

    def abort(self) -> None:
        """Break the connection: whatever the other thread waits for fails at once."""
        with self._lock:
            self._aborted = True
            if self._socket is not None:
                with suppress(OSError):  # it was closed already
                    self._socket.shutdown(socket.SHUT_RDWR)

    def connected(self) -> socket.socket:
        """Return a socket to the first checked address that takes the connection.

        Raises:
            Forbidden: there is none that may be reached.
            OSError: none took it.
        """
        found: socket.socket | None = None
        failure: OSError = OSError("the name has no address")
        for family, address in self._guard.resolve(self._settings.host, self._settings.port):
            made = socket.socket(family, socket.SOCK_STREAM)
            made.settimeout(self._timeout)
            try:
                self._hold(made)
                made.connect((address, self._settings.port))
            except OSError as error:
                made.close()
                failure = error
                continue
            found = made
            break
        if found is None:
            raise failure
        if self._settings.security == "tls":
            found = self._context.wrap_socket(found, server_hostname=self._settings.host)
            self._hold(found)
        return found

    def _hold(self, held: socket.socket) -> None:
        with self._lock:
            self._socket = held
            if self._aborted:
                raise TimeoutError("broken off")


class _Server(smtplib.SMTP):
    """smtplib's client on a socket of ours: it would look the name up once more, and connect to whatever it finds."""

    def __init__(self, conversation: Conversation, host: str, port: int, timeout: float) -> None:
        self._conversation = conversation
        super().__init__(host, port, local_hostname="[127.0.0.1]", timeout=timeout)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made = self._conversation.connected()
        address = made.getsockname()[0]
        self.local_hostname = f"[IPv6:{address}]" if made.family == socket.AF_INET6 else f"[{address}]"
        return made
