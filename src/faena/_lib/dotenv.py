"""Read a `.env` file: `NAME=value` lines, as shells and Compose write them.

Knows comments, `export`, and quotes; in double quotes a backslash before n, t, r, a quote, a dollar or a backslash
means what it means in a shell script. It does not expand variables: what stands there is what you get.
"""

from __future__ import annotations

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$"}


def read_dotenv(text: str) -> dict[str, str]:
    """Return the variables that `text` sets; the last one of a name wins.

    Raises ValueError, with the number of the line, where a line sets nothing.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        name, equals, value = words.removeprefix("export ").partition("=")
        name = name.strip()
        if not equals or not name or any(letter.isspace() for letter in name):
            raise ValueError(f"line {number}: expected NAME=value, found {words.split('=')[0]!r}")
        found[name] = _value_of(value.strip(), number)
    return found


def _value_of(text: str, number: int) -> str:
    if text[:1] not in ("'", '"'):
        return text.split(" #", 1)[0].rstrip()
    quote, rest = text[0], text[1:]
    letters: list[str] = []
    index = 0
    while index < len(rest):
        letter = rest[index]
        if letter == quote:
            return "".join(letters)
        if letter == "\\" and quote == '"' and rest[index + 1 : index + 2] in _ESCAPES:
            index += 1
            letter = _ESCAPES[rest[index]]
        letters.append(letter)
        index += 1
    raise ValueError(f"line {number}: the quote {quote} is not closed")
