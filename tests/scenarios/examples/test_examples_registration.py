"""examples/registration, with a mail server on loopback that can be told to be difficult."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from email.message import Message
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler

DEADLINE_S = 30


class MailServer(MessageHandler):
    """Collects mail. `patience` refuses the first attempts for an address for now; `nobody` refuses for good."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts: Counter[str] = Counter()
        self.mails: list[Message] = []
        self.arrived = threading.Condition()

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        self.attempts[address] += 1
        if address.startswith("nobody@"):
            return "550 no such user"
        if address.startswith("busy@") and self.attempts[address] < 3:
            return "451 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    def handle_message(self, message: Message) -> None:
        with self.arrived:
            self.mails.append(message)
            self.arrived.notify_all()

    def wait_for(self, count: int) -> list[Message]:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.mails) >= count, DEADLINE_S), self.mails
            return list(self.mails)


@pytest.fixture
def mail_server(project: Any, free_port: int) -> Iterator[MailServer]:
    handler = MailServer()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port)
    controller.start()
    project.environ["SMTP_PORT"] = str(free_port)
    yield handler
    controller.stop()


def test_who_registers_gets_one_mail_however_often_the_button_is_pressed(project: Any, mail_server: MailServer) -> None:
    for _ in range(3):
        project.run("python", "registration.py", "ada@example.org", "Ada")
    project.start_worker("-A", "registration", "-c", "1")
    done = project.run("faena", "-A", "registration", "result", "welcome-1", "--wait", "--timeout", str(DEADLINE_S))
    assert "<registration-1@example.org>" in done.stdout
    project.run("python", "registration.py", "ada@example.org", "Ada")
    project.run("python", "registration.py", "grace@example.org", "Grace")
    project.run("faena", "-A", "registration", "result", "welcome-2", "--wait", "--timeout", str(DEADLINE_S))
    mails = mail_server.wait_for(2)
    assert [(mail["To"], mail["Subject"], mail["Message-ID"]) for mail in mails] == [
        ("ada@example.org", "Welcome, Ada", "<registration-1@example.org>"),
        ("grace@example.org", "Welcome, Grace", "<registration-2@example.org>"),
    ]


def test_a_server_that_asks_for_patience_is_asked_again(project: Any, mail_server: MailServer) -> None:
    project.start_worker("-A", "registration", "-c", "1")
    project.run("python", "registration.py", "busy@example.org", "Ada")
    (mail,) = mail_server.wait_for(1)
    assert mail["To"] == "busy@example.org"
    assert mail_server.attempts == {"busy@example.org": 3}


def test_a_refusal_for_good_fails_without_another_attempt(project: Any, mail_server: MailServer) -> None:
    project.start_worker("-A", "registration", "-c", "1")
    project.run("python", "registration.py", "nobody@example.org", "Nobody")
    done = project.run("faena", "-A", "registration", "result", "welcome-1", "--wait", "--timeout", str(DEADLINE_S), code=1)
    assert "the server refuses nobody@example.org: 550 no such user" in done.stdout + done.stderr
    assert mail_server.attempts == {"nobody@example.org": 1}
    assert mail_server.mails == []


def test_mail_waits_for_a_server_that_is_away(project: Any, free_port: int) -> None:
    project.environ["SMTP_PORT"] = str(free_port)
    project.start_worker("-A", "registration", "-c", "1")
    project.run("python", "registration.py", "ada@example.org", "Ada")
    handler = MailServer()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port)
    controller.start()
    try:
        assert [mail["To"] for mail in handler.wait_for(1)] == ["ada@example.org"]
    finally:
        controller.stop()
