"""Keep what somebody else wrote from filling a screen."""

from __future__ import annotations

_WORD = 300  # characters; a path or a URL is whole, a thousand digits are not
_TEXT = 10_000


def shortened(text: str, word: int = _WORD, whole: int = _TEXT) -> str:
    """Leave the middle out of words that are over-long, and then of the text if it still is."""
    if len(text) > word:
        text = "\n".join(
            " ".join(_cut(each, word) for each in line.split(" ")) if len(line) > word else line
            for line in text.split("\n")
        )
    return _cut(text, whole)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    kept = limit // 3
    return f"{text[:kept]}[... {len(text) - 2 * kept:,} characters ...]{text[-kept:]}"
