"""The words of the texts that come with Python: found, counted side by side, added up, and written to a report.

Start a worker in this folder, then send the pipeline:

    faena worker -A pipeline
    python pipeline.py                      # the texts of this Python's standard library
    python pipeline.py ~/notes report.txt   # or those of another folder
"""

import re
import sys
import sysconfig
from collections import Counter
from pathlib import Path

from faena import Faena, chain, chord, group
from faena.errors import FaenaError

WORD = re.compile(r"[^\W\d_]{4,}")
LARGEST_BYTES = 5_000_000

app = Faena("pipeline")


class NoText(Exception):
    """The file is no text in UTF-8."""


@app.task
def find_texts(folder: str) -> list[str]:
    """Return the text files of a folder and the folders in it."""
    found = [path for path in Path(folder).rglob("*.txt") if path.is_file() and path.stat().st_size <= LARGEST_BYTES]
    if not found:
        raise FileNotFoundError(f"no text file in {folder}")
    return [str(path) for path in sorted(found)]


@app.task(bind=True)
def count_all(self, paths: list[str]) -> None:
    """Let each text be counted, and run in the place of this task: how many there are shows only now."""
    counts = group(count.s(path).if_fails("skip") for path in paths)  # one bad text does not spoil the rest
    raise self.replace(chord(counts, add_up.s(len(paths))))


@app.task(autoretry_for=(OSError,), max_retries=2, default_retry_delay=1)
def count(path: str) -> dict[str, int]:
    """Return how often each word stands in a text."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise NoText(f"{path}: {error}") from None
    return Counter(word.lower() for word in WORD.findall(text))


@app.task
def add_up(counts: list[dict[str, int]], sent: int) -> dict[str, object]:
    """Add the counts of all texts. It is given those that could be read."""
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return {"texts": len(counts), "skipped": sent - len(counts), "words": total.total(), "most": total.most_common(1000)}


@app.task
def shorten(total: dict[str, object], most: int) -> dict[str, object]:
    """Keep the commonest words."""
    words = total["most"]
    assert isinstance(words, list)
    return {**total, "most": words[:most]}


@app.task
def write_report(total: dict[str, object], report: str) -> str:
    """Write the report, as a whole: running twice does no harm."""
    words = total["most"]
    assert isinstance(words, list)
    lines = [f"{total['words']:,} words in {total['texts']} texts, {total['skipped']} skipped", ""]
    lines += [f"{number:8,}  {word}" for word, number in words]
    unfinished = Path(f"{report}.part")
    unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")
    unfinished.replace(report)
    return report


@app.task
def note_failure(request, exc, traceback) -> None:
    """Say once why there is no report."""
    print(f"no report: {request.task} failed with {exc!r}", flush=True)


def main(folder: str, report: str) -> None:
    steps = chain(find_texts.s(folder), count_all.s(), shorten.s(20), write_report.s(report))
    result = steps.on_error(note_failure.s()).apply_async()
    print(f"workflow {result.workflow.id}")
    try:
        print(Path(result.get(timeout=300)).read_text(encoding="utf-8"), end="")
    except (FaenaError, OSError) as error:
        sys.exit(f"no report: {error}")


if __name__ == "__main__":
    texts = sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_path("stdlib")
    main(str(Path(texts).resolve()), str(Path(sys.argv[2] if len(sys.argv) > 2 else "report.txt").resolve()))
