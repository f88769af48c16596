"""The app that the benchmark's worker and client share: default settings, one SQLite file in the current folder."""

from faena import Faena

app = Faena("bench", broker="sqlite:///faena.db")


@app.task
def echo(number):
    return number
