"""How a message gets there: by mail, over HTTP, or to a function of the conf."""

import asyncio
import smtplib
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import assert_never

from ... import threads
from ...fetch.answer import Failed
from ...fetch.fetcher import Fetcher
from ...fetch.route import Dialer
from ...trust import client_context
from ...values.mistake import Mistake
from ...values.targets import Mail, Post, Target, Tell
from .courier import Undelivered
from .events import Event
from .messages import Message, as_json, compose, filled, for_header, for_url

PATIENCE = 20.0  # seconds for one message
AT_ONCE = 8  # threads that hang, of one target; beyond it nothing more is tried there


class Delivery:
    """Delivers to one target; made inside a running event loop. A function raises at a line of the conf at `path`."""

    def __init__(self, target: Target, path: Path) -> None:
        self._target = target
        self._path = path
        self._hanging = 0
        self._fetcher = Fetcher(Dialer())

    async def __call__(self, events: list[Event], lost: int) -> None:
        """Raises Undelivered."""
        match self._target:
            case Post():
                await self._post(self._target, compose(events, lost))
            case Mail():
                await self._call(send, self._target, compose(events, lost))
            case Tell():
                for event in events:
                    await self._call(self._target.function, event)
            case _:
                assert_never(self._target)

    def close(self) -> None:
        """End what is kept open."""
        self._fetcher.close()

    async def _post(self, post: Post, message: Message) -> None:
        """Raises Undelivered."""
        fields = message.fields()
        headers = {name: filled(text, for_header(fields)) for name, text in post.headers}
        body = filled(post.body, fields) if post.json is None else as_json(post.json, fields)
        if post.json is not None:
            headers.setdefault("Content-Type", "application/json")
        try:
            answer = await self._fetcher.fetch(
                "POST", filled(post.url, for_url(fields)), PATIENCE, headers, body.encode("utf-8", "replace")
            )
        except (Failed, Mistake) as failed:
            raise Undelivered(str(failed)) from None
        if not 200 <= answer.status < 300:
            raise Undelivered(f"it answers {answer.status}")

    async def _call(self, function: Callable[..., object], *arguments: object) -> None:
        """In a thread, which may hang. Raises Undelivered."""
        if self._hanging >= AT_ONCE:
            raise Undelivered(f"{AT_ONCE} calls hang")
        call = threads.in_thread(function, *arguments, late=self._came_back)
        await asyncio.wait([call], timeout=PATIENCE)
        if not call.done():
            call.cancel()
            self._hanging += 1
            raise Undelivered("no answer in time")
        ended = call.result()
        if isinstance(ended, threads.Raised):
            raise Undelivered(_said(ended.error, self._path))

    def _came_back(self) -> None:
        self._hanging -= 1


def send(mail: Mail, message: Message) -> None:
    """Send it by SMTP (RFC 5321), for a thread. Raises OSError, smtplib.SMTPException."""
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = mail.sender, ", ".join(mail.to), message.subject
    letter["Date"], letter["Message-ID"] = formatdate(), make_msgid(domain="sftdyn.invalid")
    letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers it
    letter.set_content(message.text)
    context = client_context(mail.ca) if mail.tls else None
    if mail.tls == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(mail.server, mail.port, timeout=PATIENCE / 2, context=context)
    else:
        server = smtplib.SMTP(mail.server, mail.port, timeout=PATIENCE / 2)
    with server:
        if mail.tls == "starttls":
            server.starttls(context=context)
        if mail.user:
            server.login(mail.user, mail.password or "")
        server.send_message(letter)


def _said(error: BaseException, path: Path) -> str:
    """What went wrong, without what a server or a function said: it could quote a password."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{type(error).__name__} {error.smtp_code}"
    if isinstance(error, OSError) and not isinstance(error, smtplib.SMTPException):
        return error.strerror or type(error).__name__
    if isinstance(error, smtplib.SMTPException):
        return type(error).__name__
    return threads.raised_at("notify", error, path)
