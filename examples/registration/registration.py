"""Registration e-mail off the request path: the user is stored, the mail is sent by a worker.

Settings come from the environment: SMTP_HOST, SMTP_PORT, DATABASE.

    python mail_server.py               # a mail server that prints what it gets
    faena worker -A registration
    python registration.py ada@example.org Ada
"""

import os
import smtplib
import sqlite3
import sys
from email.message import EmailMessage
from typing import Any

from faena import Faena

app = Faena("registration")


@app.task(bind=True, max_retries=8, soft_time_limit=60)
def send_welcome(self: Any, registration: int, address: str, name: str) -> str:
    """Send the welcome mail. Tries again while the server is away or asks for patience; not when it refuses."""
    message = welcome(registration, address, name)
    try:
        with smtplib.SMTP(
            os.environ.get("SMTP_HOST", "127.0.0.1"), int(os.environ.get("SMTP_PORT", "8025")), timeout=20
        ) as server:
            server.send_message(message)
    except smtplib.SMTPRecipientsRefused as refused:
        code, reason = refused.recipients[address]
        if code >= 500:  # RFC 5321, section 4.2.1: permanent; asking again is rude
            raise ValueError(f"the server refuses {address}: {code} {reason.decode(errors='replace')}") from None
        raise self.retry(exc=refused, countdown=patience_s(self.request.retries)) from None
    except smtplib.SMTPResponseException as answer:
        if answer.smtp_code >= 500:
            raise
        raise self.retry(exc=answer, countdown=patience_s(self.request.retries)) from None
    except OSError as error:  # not reachable, or gone in the middle
        raise self.retry(exc=error, countdown=patience_s(self.request.retries)) from None
    return str(message["Message-ID"])


def patience_s(retries: int) -> float:
    """Return the seconds to wait: a fraction of a second first, five minutes at most."""
    return float(min(0.5 * 4**retries, 300))


def welcome(registration: int, address: str, name: str) -> EmailMessage:
    """Write the mail. Its Message-ID depends on the registration alone: a mail that is sent twice is shown once."""
    message = EmailMessage()
    message["From"] = "Example <hello@example.org>"
    message["To"] = address
    message["Subject"] = f"Welcome, {name}"
    message["Message-ID"] = f"<registration-{registration}@example.org>"
    message.set_content(f"Hello {name},\n\nyour account is ready.\n")
    return message


def register(database: str, address: str, name: str) -> int:
    """Store the user and hand the mail over. Registering an address again changes nothing and sends nothing new."""
    connection = sqlite3.connect(database)
    with connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, address TEXT UNIQUE NOT NULL, "
            "name TEXT NOT NULL, is_welcomed INTEGER NOT NULL DEFAULT 0)"
        )
        connection.execute("INSERT OR IGNORE INTO users (address, name) VALUES (?, ?)", (address, name))
    registration, is_welcomed = connection.execute(
        "SELECT id, is_welcomed FROM users WHERE address = ?", (address,)
    ).fetchone()
    if not is_welcomed:
        # In this order: if we die between the two lines, the mail goes out twice (and is shown once), but never not at all.
        send_welcome.apply_async((registration, address, name), task_id=f"welcome-{registration}")
        with connection:
            connection.execute("UPDATE users SET is_welcomed = 1 WHERE id = ?", (registration,))
    connection.close()
    return int(registration)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: python {sys.argv[0]} ADDRESS NAME")
    number = register(os.environ.get("DATABASE", "users.db"), sys.argv[1], sys.argv[2])
    print(f"registered as number {number}; the mail is on its way (see: faena result welcome-{number})")
