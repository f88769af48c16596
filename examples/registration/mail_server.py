"""A mail server for trying things out: prints what it gets, keeps nothing."""

import asyncio
import os

from aiosmtpd.handlers import Debugging
from aiosmtpd.smtp import SMTP


async def main() -> None:
    port = int(os.environ.get("SMTP_PORT", "8025"))
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(Debugging()), "127.0.0.1", port)
    print(f"waiting for mail on 127.0.0.1:{port}; stop with Ctrl-C")
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
