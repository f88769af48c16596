from datetime import date
from pathlib import Path

from invoke import Collection, task

RAW = Path("data/raw")
CLEAN = Path("data/clean")


@task(iterable=["dataset"], help={"dataset": "Name of a data set; may be repeated."})
def download(c, dataset, force=False):
    """Fetch raw data."""
    RAW.mkdir(parents=True, exist_ok=True)
    for name in dataset:
        target = RAW / f"{name}.csv"
        if target.exists() and not force:
            print(f"{target} is there")
            continue
        c.run(f"curl -sSL https://data.example.org/{name}.csv -o {target}")
        target.write_text("a,b\n1,2\n")


@task
def preprocess(c):
    """Clean what was downloaded."""
    CLEAN.mkdir(parents=True, exist_ok=True)
    for source in sorted(RAW.glob("*.csv")):
        c.run(f"python scripts/clean.py {source} {CLEAN / source.name}")


@task(pre=[preprocess], incrementable=["verbose"])
def train(c, model="forest", epochs=10, rate=0.1, seed=None, verbose=0):
    """Fit a model."""
    flags = [f"--model {model}", f"--epochs {epochs}", f"--rate {rate}"]
    if seed is not None:
        flags.append(f"--seed {seed}")
    flags += ["-v"] * verbose
    c.run("python scripts/train.py " + " ".join(flags))


@task(autoprint=True)
def report(c, day=""):
    """Say where today's report goes."""
    return f"reports/{day or date.today().isoformat()}.html"


@task
def notebook(c, port=8888, browser=True):
    """Start Jupyter."""
    c.run(f"jupyter lab --port={port}" + ("" if browser else " --no-browser"))


data = Collection("data", download, preprocess)
ns = Collection(data, train, report, notebook)
