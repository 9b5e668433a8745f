"""What files from strangers cannot do: read other files, hide characters, take memory and time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import polylat
from builders import ROOT, compute, einsum, leaf, loop, memory, spec, storage
from polylat import ExpressionError, OptionError, PolylatError, Spec, SpecError
from polylat.characters import describe_character, escape_hidden, find_hidden
from polylat.cli import main
from polylat.spec.reading import files
from polylat.spec.reading.expressions import work
from polylat.spec.reading.load import load_each
from polylat.spec.reading.tree import tree_size

Write = Callable[..., Path]
CASE = ROOT / "tests" / "data" / "accelforge" / "t_mm_one_level.yaml"
WHOLE = CASE.read_text(encoding="utf-8")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file below the temporary folder."""

    def made(text: str, name: str = "inside/case.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return made


# Includes

INCLUDES = {
    "include": "a: {{ include('PATH') }}",
    "include_all": "a: {{ include_all('PATH') }}",
    "include_text": "a: {{ include_text('PATH') }}",
    "find_path": "a: {{ find_path('PATH') }}",
    "find_paths": "a: {{ find_paths('PATH') }}",
    "add_to_path": "{{ add_to_path('PATH') }}",
    "add_to_path, then include": "{{ add_to_path('PATH/..') }}\na: {{ include('PATH') }}",
    "tag": "a: !include PATH",
    "Jinja's include": "{% include 'PATH' %}",
    "Jinja's import": "{% import 'PATH' as x %}",
    "list": "a: {{ include_text(['case.yaml', 'PATH']) }}",
    "pattern": "a: {{ include_all('PAT*') }}",
}


@pytest.mark.parametrize("form", INCLUDES)
@pytest.mark.parametrize("absolute", [True, False])
def test_files_outside_of_the_folder(write: Write, form: str, absolute: bool) -> None:
    outside = write("secret: 1", "outside.yaml")
    target = str(outside) if absolute else "../outside.yaml"
    text = INCLUDES[form].replace("PATH", target).replace("PAT*", target[:-3] + "*")
    with pytest.raises(SpecError, match=r"outside|there is no file") as error:
        polylat.load(write(text))
    assert "secret" not in str(error.value)
    assert "outside of the folder" in str(error.value) or form.startswith("Jinja")


@pytest.mark.parametrize("form", [f for f in INCLUDES if f not in ("pattern", "list")])
def test_links_to_files_outside_of_the_folder(write: Write, form: str, tmp_path: Path) -> None:
    outside = write("secret: 1", "outside.yaml")
    case = write(INCLUDES[form].replace("PATH", "link.yaml"))
    (case.parent / "link.yaml").symlink_to(outside)
    with pytest.raises(SpecError, match="outside of the folder"):
        polylat.load(case)
    folder = write("x: 1", "elsewhere/part.yaml").parent
    (case.parent / "folder").symlink_to(folder)
    for text in ("a: !includedir folder", "a: {{ include('folder/part.yaml') }}"):
        with pytest.raises(SpecError, match="outside of the folder"):
            polylat.load(write(text))


def test_whether_a_file_exists_outside(write: Write) -> None:
    """The answers do not depend on it."""
    write("x: 1", "present.yaml")
    messages = set()
    for name in ("present", "missing"):
        with pytest.raises(SpecError) as error:
            polylat.load(write(f"a: {{{{ include('../{name}.yaml') }}}}"))
        messages.add(str(error.value).replace(name, ""))
        text = f"variables: {{there: {{{{ path_exists('../{name}.yaml') }}}}}}\n"
        assert "there: false" in polylat.load(write(text + WHOLE)).to_yaml()
    assert len(messages) == 1


def test_folders_that_the_caller_allows(write: Write, tmp_path: Path) -> None:
    shared = write("[3, 4]", "shared/numbers.yaml")
    link = tmp_path / "link"
    link.symlink_to(shared.parent)
    text = "variables: {a: {{ include('../shared/numbers.yaml', '0') }}}\n" + WHOLE
    case = write(text)
    with pytest.raises(SpecError, match=r"include_from=\[…\], or --include-from|include_from"):
        polylat.load(case)
    expected = polylat.analyze(polylat.load(CASE)).latency
    for folder in (shared.parent, str(link), tmp_path):
        found = polylat.load(case, include_from=[folder])
        assert polylat.analyze(found).latency == expected
    (both,) = load_each({"x": [case]}, {}, [shared.parent]).values()
    assert both == polylat.load(case, include_from=[shared.parent])
    with pytest.raises(SpecError, match="outside of the folder"):
        polylat.load(case, include_from=[shared.parent / ".." / "inside"])


@pytest.mark.parametrize("folders", ["shared", 3, ["none"], [3], [""]])
def test_folders_that_are_none(folders: Any) -> None:
    with pytest.raises((OptionError, SpecError), match=r"include_from|folder|file name"):
        polylat.load(CASE, include_from=folders)


def test_folders_on_the_command_line(write: Write) -> None:
    shared = write("[3, 4]", "shared/numbers.yaml").parent
    case = write("variables: {a: {{ include('../shared/numbers.yaml', '0') }}}\n" + WHOLE)
    run = CliRunner().invoke
    for command in ("analyze", "roofline", "tree", "explain"):
        refused = run(main, [command, str(case)])
        assert refused.exit_code == 2 and "--include-from" in refused.output
        allowed = run(main, [command, str(case), "--include-from", str(shared)])
        assert allowed.exit_code == 0, allowed.output
    wrong = run(main, ["roofline", str(case), "--set", "include_from=/"])
    assert wrong.exit_code == 2 and "not NAME=VALUE" in wrong.output


# Memory and time


def measured(load: Callable[[], object], why: str) -> str:
    start = time.process_time()
    with pytest.raises(PolylatError, match=why) as error:
        load()
    assert time.process_time() - start < 20
    return str(error.value)


def test_includes_that_double(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_MAX_INCLUDED_FILES", 100)
    for k in range(18):
        write(
            f"a: {{{{ include('{k + 1}.yaml') }}}}\nb: {{{{ include('{k + 1}.yaml') }}}}",
            f"{k}.yaml",
        )
        write(
            f"{{{{ include_text('{k + 1}.txt') }}}}\n{{{{ include_text('{k + 1}.txt') }}}}",
            f"{k}.txt",
        )
        write(f"{{% include '{k + 1}.jinja' %}}{{% include '{k + 1}.jinja' %}}", f"{k}.jinja")
    write("x: 1", "18.yaml")
    write("y: 1", "18.txt")
    write("", "18.jinja")
    for name, why in (
        ("0.yaml", "the input includes more than 100 files"),
        ("0.txt", "the input includes more than 100 files"),
        ("0.jinja", "too much work|more than 100 files"),
    ):
        measured(partial(polylat.load, write("", name + ".none").parent / name), why)


def test_one_tree_at_many_places(write: Write) -> None:
    """The tag of an included file can be written often."""
    write(f"[{', '.join('0' * 20_000)}]", "inside/long.yaml")
    text = "{% set t = include('long.yaml') %}a: [{% for i in range(1000) %}{{ t }},{% endfor %}]"
    assert "line 1" in measured(lambda: polylat.load(write(text)), "more than 500000 values")


NAMESPACES = (
    "{% set ns = namespace(a=[1]) %}"
    "{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "{% set a = [1] %}" + "{% set a = [a, a] %}" * 60,
        "{% set a = (1,) %}" + "{% set a = (a, a) %}" * 60,
        "{% set a = {'x': 1} %}" + "{% set a = {'x': a, 'y': a} %}" * 60,
        "{% set a = dict(x=1) %}" + "{% set a = dict(x=a, y=a) %}" * 60,
        "{% set a = [1] %}" + "{% set a = a + a %}" * 60,
        "{% set a = 'x' %}" + "{% set a = a ~ a %}" * 60,
        "{% set a = 3 %}" + "{% set a = a * a %}" * 60,
        NAMESPACES,
        "{% set n = [1] %}{% set m = [1] %}"
        + "{% set n = [n, n] %}{% set m = [m, m] %}" * 60
        + "{{ n == m }}",
    ],
)
def test_templates_that_double(write: Write, text: str) -> None:
    measured(lambda: polylat.load(write(text)), "does too much work")


def sized(variables: dict[str, object], size: str) -> Spec:
    data = spec(
        {},
        [einsum("e", ("z", "m"), ("a", "m"))],
        [memory("D", size="inf"), compute("mac")],
        [storage("D", "a", "z"), loop("m"), leaf("e")],
    )
    data["workload"]["iteration_space_shape"] = {"m": f"0 <= m < {size}"}
    return Spec.from_dict({**data, "variables": variables})


@pytest.mark.parametrize(
    ("first", "next_value"),
    [
        ("list([1])", "list([{0}, {0}])"),
        ("list([1])", "{0} + {0}"),
        ("list([1])", "{0} * 10"),
        ("enumerate([1])", "enumerate([{0}, {0}])"),
        ("3", "{0} * {0}"),
        ("3", "{0} ** 3"),
        ("1/3", "{0} * {0}"),
    ],
)
def test_variables_that_double(first: str, next_value: str) -> None:
    variables: dict[str, object] = {"v0": first}
    variables |= {f"v{k}": next_value.format(f"v{k - 1}") for k in range(1, 60)}
    where = measured(lambda: sized(variables, "v59"), "too many steps|list|too large|compute")
    assert "variables.v" in where


def test_work_of_all_expressions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MAX_STEPS", 2_000)
    variables: dict[str, object] = {f"v{k}": f"len(range(300)) + {k}" for k in range(20)}
    total = " + ".join(variables)
    with pytest.raises(ExpressionError, match="more than 2,000 steps together"):
        sized({**variables, "all": total}, "all")
    assert sized({"one": "len(range(300))"}, "one").workload.einsums


@pytest.mark.slow
@pytest.mark.parametrize("value", ["v{0}", "v{0} + 0*v{0}", "variables.v{0}", "max(v{0}, 1)"])
def test_long_chains_of_variables(value: str) -> None:
    count = 1_500
    variables: dict[str, object] = {f"v{k}": value.format(k + 1) for k in range(count)}
    found = sized({**variables, f"v{count}": 7}, "v0")
    assert polylat.roofline(found).latency == 14
    for k in (count - 1, 5):  # the cycle is long, and short
        looped = {**variables, f"v{k}": value.format(0), f"v{count}": 7}
        with pytest.raises(ExpressionError, match="depends on its own value: v0 → v1 → v2 → v3"):
            sized(looped, "v0")
    with pytest.raises(ExpressionError, match=rf"variables.v{count}: .*division by zero"):
        sized({**variables, f"v{count}": "1/0"}, "v0")


def test_a_cycle_that_is_not_taken() -> None:
    assert sized({"a": "b if 0 else 4", "b": "a + 1"}, "b").workload.einsums
    with pytest.raises(ExpressionError, match="depends on its own value: a → b → a"):
        sized({"a": "b if 1 else 4", "b": "a + 1"}, "a")


@given(
    st.recursive(st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_tree_size(tree: Any) -> None:
    def count(value: Any) -> int:
        inner = value.values() if isinstance(value, dict) else value
        return 1 + (sum(map(count, inner)) if isinstance(value, (list, dict)) else 0)

    assert tree_size(tree, 10**6) == count(tree)
    assert tree_size(tree, 3) == min(count(tree), 3)


# Characters


def named(component: str) -> dict[str, Any]:
    """An input with a memory of a name."""
    return spec(
        {"m": 2},
        [einsum("e", ("z", "m"), ("a", "m"))],
        [memory(component, size="inf"), compute("mac")],
        [storage(component, "a", "z"), loop("m"), leaf("e")],
    )


HIDDEN = ("\u200b", "\u202e", "\u2066", "\u00ad", "\ufeff", "\u2028", "\U000e0041", "\x1b", "\x7f")


@pytest.mark.parametrize("character", HIDDEN)
def test_characters_that_do_not_show(write: Write, character: str) -> None:
    code = rf"U\+{ord(character):04X} \(.*\), which does not show"
    with pytest.raises(SpecError, match=code) as error:
        Spec.from_dict(named(f"D{character}"))
    assert find_hidden(str(error.value)) is None
    for key in (f"a{character}", "a"):
        value = 1 if key != "a" else f"x{character}"
        with pytest.raises(SpecError, match=code):
            Spec.from_dict({**named("D"), "variables": {key: value}})
    escaped = f"\\U{ord(character):08x}"
    text = f'variables: {{"a{escaped}": 1}}\n{WHOLE}'
    with pytest.raises(SpecError, match=f"line 1.*{code}"):
        polylat.load(write(text))
    with pytest.raises(SpecError, match=code):
        polylat.load(write(WHOLE), x=f"'{character}'")


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\rb"])
def test_line_breaks_in_names(name: str) -> None:
    with pytest.raises(SpecError, match=r"contains the character U\+00"):
        Spec.from_dict(named(name))


def test_messages_do_not_act_on_the_terminal(write: Write) -> None:
    case = write("{% assert false, 'x\\x1b[2J\\u202e\\npolylat: all is well' %}\n" + WHOLE)
    result = CliRunner().invoke(main, ["analyze", str(case)])
    assert result.exit_code == 2 and r"x\x1b[2J\u202e" in result.output
    assert len(result.output.splitlines()) == 1
    assert find_hidden(result.output.rstrip("\n")) is None


def test_names_of_files_do_not_act_on_the_terminal(write: Write, tmp_path: Path) -> None:
    case = write(WHOLE, "inside/\x1b[2J\u202e.yaml")
    run = CliRunner().invoke
    page = tmp_path / "\x1b[31m.html"
    for arguments in (
        ["analyze", str(case) + "x"],
        ["tree", str(case), "-o", str(tmp_path / "\x1b[1m.svg")],
        ["report", str(case), "--no-sensitivity", "-o", str(page)],
        ["compare", str(case), str(write(WHOLE, "inside/b.yaml"))],
        ["analyze", "--\x1b[2J"],
    ):
        output = run(main, arguments).output
        assert find_hidden(output.replace("\n", "")) is None, arguments
    assert find_hidden(page.read_text(encoding="utf-8").replace("\n", "").replace("\t", "")) is None


def characters() -> Iterator[str]:
    return map(chr, (*range(0x3000), *range(0xFE00, 0x10000), *range(0xE0000, 0xE0200)))


def test_escaped_text_has_no_hidden_characters() -> None:
    for character in characters():
        escaped = escape_hidden(f"a{character}b")
        assert find_hidden(escaped) is None
        assert (escaped == f"a{character}b") is (find_hidden(character) is None)
        assert describe_character(character).startswith("U+")
    assert find_hidden("é 中 😀 → ×") is None


def test_formulas_of_spreadsheets(tmp_path: Path) -> None:
    import csv

    data = spec(
        {"m": 4},
        [einsum("=e()", ("z", "m"), ("=a", "m"))],
        [memory("D", size="inf"), memory("@S", size="inf"), compute("mac")],
        [storage("D", "=a", "z"), loop("m"), storage("@S", "=a"), leaf("=e()")],
    )
    found = polylat.explore(Spec.from_dict(data), staged=["@S"])
    path = tmp_path / "results.csv"
    found.save(path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    cells = [cell for row in rows for cell in row]
    assert "'@S" in cells
    for cell in cells:
        number = cell.lstrip("-").replace(".", "").isdigit()
        assert number or not cell.startswith(("=", "+", "-", "@", "\t", "\r")), cell
