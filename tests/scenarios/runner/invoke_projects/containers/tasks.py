import time

from invoke import Collection, UnexpectedExit, call, task
from invoke.watchers import FailingResponder

COMPOSE = "docker compose"


def compose(c, command, **kwargs):
    files = " ".join("-f {}".format(name) for name in c.compose.files)
    return c.run("{} {} {}".format(COMPOSE, files, command), **kwargs)


@task
def check(c, mode="loose"):
    """See that the daemon answers."""
    try:
        c.run("docker info", hide="both")
    except UnexpectedExit as error:
        print("docker: status {}".format(error.result.exited))
        if mode == "strict":
            raise
    else:
        print("docker: fine ({})".format(mode))


@task
def prune(c):
    c.run("docker system prune -f", warn=True, hide=True)


@task(pre=[call(check, mode="strict")], post=[prune])
def up(c, detach=True, scale=None, service=""):
    """Start the containers."""
    words = ["up"]
    if detach:
        words.append("-d")
    if scale:
        words.append("--scale {}".format(scale))
    words.append(service)
    compose(c, " ".join(words).strip())


@task
def down(c, volumes=False):
    compose(c, "down" + (" -v" if volumes else ""))


@task(help={"seconds": "How long to wait at most."})
def wait(c, seconds=1.0):
    """Wait until the web container is healthy."""
    until = time.time() + seconds
    while True:
        result = compose(c, "ps --status running web", hide=True, warn=True)
        if "web" in result.stdout:
            print("healthy")
            return
        if time.time() > until:
            raise SystemExit("web did not come up")


@task
def login(c, user="me"):
    watcher = FailingResponder("Password: ", "secret\n", "denied")
    c.run("docker login -u {}".format(user), watchers=[watcher], hide=True)
    print("in")


namespace = Collection(up, down, wait, login, daemon=Collection(check, prune))
namespace.configure({"compose": {"files": ["compose.yml", "compose.dev.yml"]}, "run": {"echo": False}})
