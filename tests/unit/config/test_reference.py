"""The page of the settings is made from their declarations."""

from __future__ import annotations

import re
from pathlib import Path

from faena.config.reference import reference
from faena.config.settings import Settings

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "settings.md"


def test_the_page_in_the_repository_is_current():
    assert PAGE.read_text("utf-8") == reference(), "run: python -m faena.config > docs/reference/settings.md"


def test_every_setting_is_on_the_page():
    page = reference()
    assert [name for name in Settings.declared if f"### `{name}`\n" not in page] == []


def test_the_example_of_the_page_is_taken(tmp_path):
    (example,) = re.findall(r"```toml\n(.*?)```", reference(), re.DOTALL)
    (tmp_path / "pyproject.toml").write_text(example)
    settings = Settings(cwd=str(tmp_path), environ={})
    assert settings.task_time_limit == 300.0
    assert settings.task_routes == {"shop.reports.*": "reports"}
    assert settings.broker_url == "sqlite:///var/shop.db"
