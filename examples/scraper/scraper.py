"""A polite scraper: obeys robots.txt, one request at a time per host, many hosts at once.

    faena worker -A scraper -c 1
    python scraper.py http://127.0.0.1:8000/ --pages 50

The pages are fetched by coroutines in one worker process (`-c 1`): being polite needs somebody who knows about all
requests to a host, and here that is the process.
"""

import argparse
import asyncio
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit
from urllib.robotparser import RobotFileParser

import httpx

from faena import Faena

AGENT = "faena-example"
PAUSE_S = 0.2  # between two requests to a host that asks for no pause of its own
LARGEST_BYTES = 2_000_000

app = Faena("scraper")

hosts: dict[str, "Host"] = {}


class Host:
    """What one process knows of one host."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.robots = RobotFileParser()
        self.pause_s = PAUSE_S


@app.task(
    autoretry_for=(httpx.TransportError,),
    retry_backoff=0.5,
    max_retries=3,
    soft_time_limit=120,
)
async def fetch(url: str) -> dict[str, Any]:
    """Fetch one page when it is its host's turn; returns its title and links, or why it was not fetched."""
    parts = urlsplit(url)
    host = hosts.setdefault(f"{parts.scheme}://{parts.netloc}", Host())
    async with host.turn, httpx.AsyncClient(headers={"User-Agent": AGENT}, timeout=20) as client:
        if not host.robots.mtime():  # not read yet
            await read_robots(client, f"{parts.scheme}://{parts.netloc}/robots.txt", host)
        if not host.robots.can_fetch(AGENT, url):
            return {"url": url, "skipped": "robots.txt says no"}
        page = await read_page(client, url)
        await asyncio.sleep(host.pause_s)  # still our turn: the pause is the host's
    return page


async def read_robots(client: httpx.AsyncClient, url: str, host: Host) -> None:
    """Learn what the host allows. RFC 9309, 2.3.1: 4xx allows everything, 5xx nothing."""
    answer = await client.get(url, follow_redirects=True)
    rules = answer.text.splitlines()
    if answer.status_code >= 500:
        rules = ["User-agent: *", "Disallow: /"]
    elif answer.status_code >= 400:
        rules = []
    host.robots.parse(rules)
    host.pause_s = float(host.robots.crawl_delay(AGENT) or PAUSE_S)


async def read_page(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    async with client.stream("GET", url) as answer:
        kind = answer.headers.get("content-type", "")
        if answer.is_redirect:
            return {"url": url, "links": [urljoin(url, answer.headers["location"])]}
        if answer.status_code >= 400 or not kind.startswith("text/html"):
            return {"url": url, "skipped": f"{answer.status_code} {kind}".strip()}
        body = b""
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > LARGEST_BYTES:
                return {"url": url, "skipped": f"more than {LARGEST_BYTES:,} bytes"}
    page = Page()
    page.feed(body.decode(answer.encoding or "utf-8", errors="replace"))
    links = sorted({urldefrag(urljoin(url, link)).url for link in page.links})
    return {"url": url, "title": page.title.strip(), "links": links}


class Page(HTMLParser):
    """Title and links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.links: list[str] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_title = tag == "title"
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]

    def handle_endtag(self, tag: str) -> None:
        self._in_title = False

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data


async def crawl(starts: list[str], limit: int) -> list[dict[str, Any]]:
    """Follow links within the hosts of `starts`, at most `limit` pages; returns them in the order they came."""
    allowed = {urlsplit(start).netloc for start in starts}
    seen: set[str] = set()
    pages: list[dict[str, Any]] = []

    async def visit(url: str, group: asyncio.TaskGroup) -> None:
        result = await fetch.adelay(url)
        page = await result
        pages.append(page)
        print(page.get("skipped") or page.get("title") or "-", url, sep="\t", flush=True)
        send(page.get("links", []), group)

    def send(urls: list[str], group: asyncio.TaskGroup) -> None:
        for url in urls:
            if url not in seen and urlsplit(url).netloc in allowed and len(seen) < limit:
                seen.add(url)
                group.create_task(visit(url, group))

    async with asyncio.TaskGroup() as group:
        send(starts, group)
    await app.aclose()
    return pages


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A polite scraper.")
    parser.add_argument("urls", nargs="+", metavar="URL")
    parser.add_argument("--pages", type=int, default=50)
    given = parser.parse_args()
    asyncio.run(crawl(given.urls, given.pages))
