"""examples/scraper, on two sites on loopback that notice who is impolite."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DEADLINE_S = 30
ROBOTS = "User-agent: *\nDisallow: /private/\nCrawl-delay: 0.05\n"
PAGES = {
    "/": '<title>Start</title><a href="/a">a</a> <a href="b#part">b</a> <a href="/private/x">x</a> <a href="/flaky">f</a>',
    "/a": '<title>A</title><a href="/">back</a> <a href="http://elsewhere.invalid/">away</a> <a href="/gone">gone</a>',
    "/b": '<title>B &amp; more</title><a href="/old">old</a>',
    "/new": "<title>New</title>",
    "/flaky": "<title>Flaky</title>",
    "/private/x": "<title>Private</title>",
}


class Site(ThreadingHTTPServer):
    """Serves PAGES and notes each request, and how many were in the house at once.

    `meeting` is where the first request of each site waits for that of the other: one after the other would never meet.
    """

    daemon_threads = True

    def __init__(self, meeting: threading.Barrier) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.meeting = meeting
        self.asked: list[str] = []
        self.agents: set[str] = set()
        self.now = self.at_once = 0
        self.count_lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        site = self.server
        with site.count_lock:
            site.asked.append(self.path)
            site.agents.add(self.headers["User-Agent"])
            site.now += 1
            site.at_once = max(site.at_once, site.now)
        try:
            self.answer(site)
        finally:
            with site.count_lock:
                site.now -= 1

    def answer(self, site: Site) -> None:
        if self.path == "/robots.txt":
            site.meeting.wait(DEADLINE_S)
            self.reply(200, "text/plain", ROBOTS)
        elif self.path == "/old":
            self.reply(301, "text/html", "", location="/new")
        elif self.path == "/flaky" and site.asked.count("/flaky") == 1:
            self.close_connection = True  # hang up without an answer
        elif self.path in PAGES:
            self.reply(200, "text/html; charset=utf-8", PAGES[self.path])
        else:
            self.reply(404, "text/html", "nothing")

    def reply(self, code: int, kind: str, text: str, location: str = "") -> None:
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def sites(count: int) -> Iterator[list[Site]]:
    meeting = threading.Barrier(count)
    found = [Site(meeting) for _ in range(count)]
    threads = [threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05}) for site in found]
    for thread in threads:
        thread.start()
    yield found
    for site in found:
        site.shutdown()
        site.server_close()
    for thread in threads:
        thread.join()


def test_two_sites_are_scraped_politely_and_at_the_same_time(project: Any) -> None:
    project.start_worker("-A", "scraper", "-c", "1")
    with sites(2) as both:
        done = project.run("python", "scraper.py", *(site.url + "/" for site in both))
    lines = {tuple(line.split("\t")) for line in done.stdout.splitlines()}
    for site in both:
        assert {(what, url.removeprefix(site.url)) for what, url in lines if url.startswith(site.url)} == {
            ("Start", "/"),
            ("A", "/a"),
            ("B & more", "/b"),
            ("robots.txt says no", "/private/x"),
            ("404 text/html", "/gone"),
            ("Flaky", "/flaky"),
            ("-", "/old"),
            ("New", "/new"),
        }
        assert sorted(site.asked) == ["/", "/a", "/b", "/flaky", "/flaky", "/gone", "/new", "/old", "/robots.txt"]
        assert site.agents == {"faena-example"}
        assert site.at_once == 1
    assert "elsewhere" not in done.stdout


def test_the_number_of_pages_is_a_limit(project: Any) -> None:
    project.start_worker("-A", "scraper", "-c", "1")
    with sites(1) as (site,):
        done = project.run("python", "scraper.py", site.url + "/", "--pages", "3")
    assert len(done.stdout.splitlines()) == 3
