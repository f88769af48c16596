"""The commands of the tool, and what can be asked of all of them."""

from __future__ import annotations

import subprocess
import sys
from inspect import signature

import pytest

from faena.cli.catalog import CATALOG, group_for, with_default
from faena.cli.setting_options import with_settings
from faena.config.settings import Settings


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["queues"], ["queues", "status"]),
        (["queues", "--json"], ["queues", "status", "--json"]),
        (["-A", "x", "dead", "-n", "3"], ["-A", "x", "dead", "list", "-n", "3"]),
        (["inspect"], ["inspect", "workers"]),
        (["queues", "-A", "x", "pause", "mail"], ["queues", "-A", "x", "pause", "mail"]),
        (["queues", "--help"], ["queues", "--help"]),
        (["queues", "puase"], ["queues", "puase"]),
        (["-A", "queues", "worker"], ["-A", "queues", "worker"]),
        (["control"], ["control"]),
        (["call", "queues"], ["call", "queues"]),
        (["queues", "list", "--json"], ["queues", "status", "--json"]),
        (["inspect", "list"], ["inspect", "workers"]),
        (["dead", "list"], ["dead", "list"]),
        (["-A", "x", "inspect", "active_queues"], ["-A", "x", "inspect", "active-queues"]),
        (["control", "pool_grow", "2"], ["control", "pool-grow", "2"]),
        (["control", "rate_limit", "a", "1/s"], ["control", "rate-limit", "a", "1/s"]),
        (["control", "my_command"], ["control", "run", "my_command"]),
        (["control", "list"], ["control", "run", "list"]),
        ([], []),
    ],
)
def test_a_group_alone_means_its_first_question(words, meant):
    assert with_default(words) == meant


def test_every_command_that_ends_by_itself_prints_json():
    _, functions = group_for(list(CATALOG))
    without = {" ".join(path) for path, function in functions.items() if "json" not in signature(function).parameters}
    assert without == {"beat", "worker"}


def test_the_list_of_commands_imports_none_of_them():
    code = (
        "import sys\nfrom faena.cli.main import main\nmain(['--help'])\n"
        "print([name for name in sys.modules if name.startswith(('faena.cli.commands', 'faena.app', 'msgspec', 'rich'))])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "[]"


def test_every_option_of_the_worker_that_is_a_setting_reads_its_text():
    group, _ = group_for(["worker"])
    options = {each.name: each for each in group.commands["worker"].parameters if each.name in Settings.declared}
    assert options["worker_pool"].convert("prefork") == "processes"
    assert options["task_time_limit"].convert("5m") == 300.0
    assert options["worker_max_memory_per_child"].convert("1 GiB") == 1024**2
    assert all(each.group and each.help.endswith(".") for each in options.values())
    with pytest.raises(ValueError, match=r"^at least 1$"):
        options["worker_concurrency"].convert("0")


def test_an_option_is_no_stranger_to_the_settings():
    group, _ = group_for(["worker"])
    with pytest.raises(KeyError):
        with_settings(group.commands["worker"], {"x": {"no_such_setting": ("--x",)}})


def test_names_and_summaries_are_short():
    assert max(len(name) for name in CATALOG) <= 8
    assert max(len(summary) for _, summary in CATALOG.values()) <= 75
