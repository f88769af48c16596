"""Documentation."""

from pathlib import Path

from invoke import task


@task(default=True, help={"builder": "Which builder of Sphinx.", "jobs": "How many processes."})
def build(c, builder="html", jobs=1):
    """Build the pages."""
    target = Path(c.docs.target) / builder
    target.mkdir(parents=True, exist_ok=True)
    c.run(f"sphinx-build -b {builder} -j {jobs} {c.docs.source} {target}")


@task(pre=[build])
def browse(c):
    """Open the pages."""
    c.run(f"xdg-open {Path(c.docs.target) / 'html' / 'index.html'}", disown=False)


@task
def clean(c):
    """Remove the pages."""
    c.run(f"rm -rf {c.docs.target}")
