from invoke import Failure, task

PACKAGES = ("core", "api", "web")


def changed_packages(c, since):
    names = c.run("git diff --name-only {}".format(since), hide=True).stdout.split()
    return [package for package in PACKAGES if any(name.startswith(package + "/") for name in names)]


@task
def test(c, since=None, parallel=True):
    """Test the packages, those that changed when `since` is given."""
    packages = changed_packages(c, since) if since else PACKAGES
    if not parallel:
        for package in packages:
            with c.cd(package):
                c.run("pytest -q {}".format(package))
        return
    running = {package: c.run("pytest -q {}".format(package), asynchronous=True) for package in packages}
    failed = []
    for package, promise in running.items():
        try:
            promise.join()
        except Failure as error:
            failed.append("{} ({})".format(package, error.result.exited))
    if failed:
        raise RuntimeError("failed: " + ", ".join(failed))


@task
def watch(c):
    """Compile the web package whenever it changes, beside the server."""
    with c.run("webpack --watch", asynchronous=True):
        c.run("python -m api.server")


@task
def deploy(c, package, tag="latest", push=True):
    """Build the image of a package."""
    image = "registry.example.org/{}:{}".format(package, tag)
    c.run("docker build -t {} {}".format(image, package))
    if push:
        c.run("docker push {}".format(image))
