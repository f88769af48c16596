"""The page of the settings is made from their declarations."""

from __future__ import annotations

from pathlib import Path

from faena.config.reference import reference
from faena.config.settings import Settings

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "settings.md"


def test_the_page_in_the_repository_is_current():
    assert PAGE.read_text("utf-8") == reference(), "run: python -m faena.config > docs/reference/settings.md"


def test_every_setting_is_on_the_page():
    page = reference()
    assert [name for name in Settings.declared if f"### `{name}`\n" not in page] == []
