"""A small project built by `fa`: texts are checked, turned into pages, and published.

fa                    list the tasks
fa publish --yes -j2  do everything; a second time nothing has to be done again
"""

from pathlib import Path

from faena import task

SITE = Path("site")


@task
def check(c):
    """Look for lines that are too long."""
    for path in sorted(Path("texts").glob("*.txt")):
        long = [number for number, line in enumerate(path.read_text().splitlines(), 1) if len(line) > 72]
        print(f"{path.name}: {'fine' if not long else f'long lines {long}'}")


@task(each="texts/*.txt", outputs="site/{stem}.html", sources=["frame.html"])
def pages(c, source, output):
    """Make a page of each text."""
    frame = Path("frame.html").read_text()
    Path(output).write_text(frame.replace("{body}", Path(source).read_text()))


@task(needs=[pages], sources=[pages], outputs=["site/index.html"])
def index(c):
    """List all pages."""
    names = sorted(path.stem for path in SITE.glob("*.html") if path.stem != "index")
    (SITE / "index.html").write_text("".join(f'<a href="{name}.html">{name}</a>\n' for name in names))
    print(f"{len(names)} pages")


def unpublish(c, error):
    """Take away what was half published."""
    c.run("rm -rf public.new")


@task(needs=[check, index], confirm="Publish to {target}?", on_failure=unpublish)
def publish(c, target="public"):
    """Publish the site in one step: nobody sees half of it."""
    c.run(f"rm -rf {target}.new {target}.old && cp -r site {target}.new")
    c.run(f"test ! -e {target} || mv {target} {target}.old")
    c.run(f"mv {target}.new {target} && rm -rf {target}.old")
    print(f"published to {target}")
