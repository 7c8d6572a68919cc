"""Mail over SMTP."""

from __future__ import annotations

import asyncio
import logging
import smtplib
import ssl

from inferwatch.infra.addresses import Forbidden, Guard, literal
from inferwatch.infra.notifiers.http import TIMEOUT
from inferwatch.infra.notifiers.mail_message import mail
from inferwatch.infra.notifiers.smtp import Conversation
from inferwatch.schemas.alerts import Notification
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import DeliveryError, Misconfigured
from inferwatch.schemas.receivers import EmailReceiver

logger = logging.getLogger(__name__)


class Mail:
    """Sends one mail per notification, over a connection of its own.

    Args:
        settings: server and addresses.
        clock: for the header Date.
        timeout: seconds for the whole exchange.
        context: which certificates are trusted; None: the system's.

    Raises:
        Misconfigured: the server is an address that must not be reached.
    """

    def __init__(
        self,
        settings: EmailReceiver,
        clock: Clock,
        *,
        timeout: float = TIMEOUT,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.name = settings.name
        self._settings = settings
        self._clock = clock
        self._timeout = timeout
        self._context = context or ssl.create_default_context()
        if (address := literal(settings.host)) is not None:
            try:
                Guard(settings.allow_networks).check(address)
            except Forbidden as error:
                raise Misconfigured(f"receivers: the host of {self.name!r} must not be reached: {error}") from None

    async def notify(self, note: Notification) -> None:
        """Send ``note`` to every address.

        Raises:
            DeliveryError: the server took it for none of them. Answers from 400 to 499 and failures of the network are
                retryable, answers from 500 on are not (RFC 5321, 4.2.1).
        """
        conversation = Conversation(self._settings, self._timeout, self._context)
        made = mail(note, self._settings.sender, self._settings.to, self._clock.now())
        try:
            async with asyncio.timeout(self._timeout):
                refused = await asyncio.to_thread(conversation.send, made, self._settings.to)
        except Forbidden as error:
            raise self._failed(f"not sent: {error}", retryable=True) from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            said = f"every recipient was refused ({', '.join(map(str, sorted(set(codes))))})"
            raise self._failed(said, retryable=any(code < 500 for code in codes)) from None
        except smtplib.SMTPResponseException as error:
            said = (
                error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
            )
            raise self._failed(f"answered {error.smtp_code}: {said[:200]}", retryable=error.smtp_code < 500) from None
        except smtplib.SMTPNotSupportedError:
            raise self._failed(
                "the server offers no STARTTLS or no login, and it is not sent without", retryable=True
            ) from None
        except (smtplib.SMTPException, TimeoutError, OSError) as error:
            raise self._failed(f"no answer ({type(error).__name__})", retryable=True) from None
        finally:
            conversation.abort()
        if refused:
            logger.warning(
                "receiver %r: %d of %d addresses were refused", self.name, len(refused), len(self._settings.to)
            )

    async def close(self) -> None:
        """Nothing is held open."""

    def _failed(self, what: str, *, retryable: bool) -> DeliveryError:
        secret = self._settings.password.get_secret_value()
        clean = what.replace(secret, "[secret]") if secret else what
        return DeliveryError(f"receiver {self.name!r}: {' '.join(clean.split())}", retryable=retryable)
