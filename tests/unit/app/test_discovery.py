"""Which app a command is about."""

from __future__ import annotations

import os
import sys
import traceback

import pytest

from faena.app.discovery import explained, find_app, load_tasks
from faena.errors import AppNotFound

APP = 'from faena import Faena\n{name} = Faena("{main}")\n'


@pytest.fixture
def project(tmp_path):
    """A function that writes files into an empty project folder; what is imported from there is forgotten afterwards."""
    paths, modules = list(sys.path), set(sys.modules)

    def write(**files):
        for name, text in files.items():
            parts = name.replace("____init__", "/INIT").replace("__", "/").replace("INIT", "__init__")
            path = tmp_path / f"{parts}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return str(tmp_path)

    yield write
    sys.path[:] = paths
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def app_of(name="app", main="shop"):
    return APP.format(name=name, main=main)


def refusal(name, folder):
    with pytest.raises(AppNotFound) as caught:
        find_app(name, folder)
    return str(caught.value)


@pytest.mark.parametrize("attribute", ["app", "celery", "faena", "shop_app"])
def test_a_module_is_searched_for_its_app(project, attribute):
    assert find_app("disc_one", project(disc_one=app_of(attribute))).main == "shop"


def test_module_and_attribute_name_one_of_several(project):
    folder = project(disc_two=app_of("one", "1") + app_of("two", "2"))
    assert find_app("disc_two:two", folder).main == "2"


def test_several_apps_in_a_module_are_listed(project):
    folder = project(disc_three=app_of("one", "1") + app_of("two", "2"))
    assert refusal("disc_three", folder) == (
        "module 'disc_three' has several apps: disc_three:one, disc_three:two; name one of them with -A"
    )


def test_one_app_with_two_names_is_one_app(project):
    assert find_app("disc_four", project(disc_four=app_of("one", "1") + "two = one\n")).main == "1"


@pytest.mark.parametrize("submodule", ["app", "celery_app", "celery", "faena_app", "tasks"])
def test_a_package_is_searched_in_its_usual_modules(project, submodule):
    folder = project(disc_pack____init__="", **{f"disc_pack__{submodule}": app_of("celery")})
    assert find_app("disc_pack", folder).main == "shop"


def test_the_app_of_a_package_may_stand_in_the_package_itself(project):
    assert find_app("disc_pack2", project(disc_pack2____init__=app_of())).main == "shop"


def test_dots_may_lead_to_the_attribute(project):
    folder = project(disc_pack3____init__="", disc_pack3__celery=app_of("queue"))
    assert find_app("disc_pack3.celery.queue", folder).main == "shop"
    assert find_app("disc_pack3.celery:queue", folder).main == "shop"


def test_a_path_is_read_as_its_module(project):
    folder = project(disc_pack4____init__="", disc_pack4__main=app_of(), src__disc_inner____init__=app_of(main="inner"))
    assert find_app("disc_pack4/main.py", folder).main == "shop"
    assert find_app("./disc_pack4/main.py:app", folder).main == "shop"
    assert find_app("src/disc_inner", folder).main == "inner"


def test_a_path_outside_is_refused(project):
    assert "lies outside of" in refusal("../elsewhere/app.py", project(disc_x=""))


@pytest.mark.parametrize("file", ["app", "celery_app", "faena_app", "tasks", "main"])
def test_without_a_name_the_one_app_of_the_folder_is_found(project, file, monkeypatch):
    monkeypatch.delitem(sys.modules, file, raising=False)
    assert find_app(None, project(**{file: app_of("whatever")})).main == "shop"


def test_without_a_name_a_package_is_found(project):
    assert find_app(None, project(disc_pack5____init__="", disc_pack5__celery=app_of())).main == "shop"


def test_without_a_name_a_package_in_src_is_found(project):
    assert find_app(None, project(src__disc_pack6____init__="", src__disc_pack6__app=app_of())).main == "shop"


def test_modules_that_do_not_speak_of_apps_are_not_imported(project, monkeypatch):
    monkeypatch.delitem(sys.modules, "app", raising=False)
    folder = project(disc_pack7____init__=app_of(), app="raise SystemExit('imported')\n")
    assert find_app(None, folder).main == "shop"


def test_the_project_file_may_name_the_app_for_all_folders_below(project, tmp_path):
    folder = project(disc_named=app_of("one", "1") + app_of("two", "2"), inner__other="")
    (tmp_path / "faena.toml").write_text('app = "disc_named:two"\n')
    assert find_app(None, folder).main == "2"
    assert find_app(None, f"{folder}/inner").main == "2"


def test_several_apps_in_a_folder_are_listed(project):
    folder = project(disc_a____init__=app_of(main="a"), disc_b____init__=app_of(main="b"))
    assert refusal(None, folder) == (
        f"several apps in {folder}: disc_a:app, disc_b:app; name it with -A module:attribute, or put "
        'app = "module:attribute" under [tool.faena] in pyproject.toml'
    )


def test_an_empty_folder_says_what_was_tried(project):
    folder = project(readme="")
    assert refusal(None, folder) == (
        f"no app in {folder}: neither app.py, celery_app.py, faena_app.py, tasks.py, main.py nor a package there makes "
        'one; name it with -A module:attribute, or put app = "module:attribute" under [tool.faena] in pyproject.toml'
    )


def test_a_missing_module_says_where_was_looked_and_what_is_near(project):
    folder = project(disc_shop=app_of())
    text = refusal("disc_shpo", folder)
    assert text.startswith(f"no module named 'disc_shpo' for 'disc_shpo'; did you mean 'disc_shop'?; looked in {folder}")


def test_a_missing_attribute_says_what_is_there(project):
    folder = project(disc_attr=app_of("shop"))
    assert refusal("disc_attr:app", folder) == "module 'disc_attr' has no attribute 'app'; its apps are disc_attr:shop"


def test_what_is_no_app_is_named(project):
    folder = project(disc_none="app = 3\n")
    assert (
        refusal("disc_none:app", folder) == "'disc_none:app' is no app but of type int; an app is made with Faena(\"name\")"
    )


def test_a_module_without_app_says_what_to_do(project):
    folder = project(disc_empty="")
    assert refusal("disc_empty", folder) == (
        f"no app in disc_empty ({folder}/disc_empty.py): no attribute is a Faena; make one with "
        'app = Faena("name"), or name another module with -A'
    )


def test_the_users_own_traceback_is_the_cause(project):
    folder = project(disc_broken="import disc_deeper\n", disc_deeper="\n\nimport no_such_thing\n")
    with pytest.raises(AppNotFound) as caught:
        find_app("disc_broken", folder)
    assert str(caught.value) == "importing 'disc_broken' failed: ModuleNotFoundError: No module named 'no_such_thing'"
    assert explained(caught.value).splitlines()[-2:] == [
        "ModuleNotFoundError: No module named 'no_such_thing'",
        "importing 'disc_broken' failed: ModuleNotFoundError: No module named 'no_such_thing'",
    ]
    frames = traceback.extract_tb(caught.value.__cause__.__traceback__)
    ours = [frame for frame in frames if not frame.filename.startswith("<frozen")]
    assert [(os.path.basename(frame.filename), frame.lineno) for frame in ours] == [
        ("disc_broken.py", 1),
        ("disc_deeper.py", 3),
    ]
    assert frames[0].filename.endswith("disc_broken.py")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("def f(:\n", "SyntaxError: invalid syntax (disc_bad.py, line 1)"),
    ],
)
def test_whatever_importing_raises_is_told(project, text, reason):
    assert refusal("disc_bad", project(disc_bad=text)) == f"importing 'disc_bad' failed: {reason}"


def test_the_tasks_of_a_package_are_loaded(project):
    folder = project(
        disc_pack8____init__="",
        disc_pack8__app=app_of(),
        disc_pack8__tasks="from disc_pack8.app import app\n@app.task\ndef mail():\n    pass\n",
    )
    app = find_app("disc_pack8", folder)
    assert list(app.tasks) == []
    load_tasks(app)
    assert list(app.tasks) == ["disc_pack8.tasks.mail"]


def test_included_modules_are_loaded_and_a_wrong_one_is_named(project):
    folder = project(
        disc_nine=app_of() + 'app.conf.include = ["disc_more"]\n',
        disc_more="from disc_nine import app\n@app.task\ndef mail():\n    pass\n",
    )
    app = find_app("disc_nine", folder)
    load_tasks(app)
    assert list(app.tasks) == ["disc_more.mail"]
    app.conf.imports = ["disc_moer"]
    with pytest.raises(AppNotFound, match="no module named 'disc_moer' for 'disc_moer' in the setting 'imports'"):
        load_tasks(app)
