"""Reading YAML files: their values, and the features of YAML and of templates."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from polylat.errors import PolylatError, SpecError, UnsupportedError
from polylat.spec import Spec
from polylat.spec.reading.load import load
from polylat.spec.reading.tree import Quoted
from polylat.spec.reading.yaml_text import parse

ARCH = """
arch:
  nodes:
  - !Memory
    name: DRAM
    size: inf
    actions:
    - {name: read, throughput: 8}
    - {name: write, throughput: 4}
  - !Compute {name: mac, actions: [{name: compute, throughput: 1}]}
"""
WORKLOAD = """
workload:
  rank_sizes: {M: 4, N: 4, K: 4}
  bits_per_value: {All: 8}
  einsums:
  - "Z[m, n] = A[m, k] * B[k, n]"
"""
MAPPING = """
mapping:
  nodes:
  - !Storage {component: DRAM, tensors: [A, B, Z]}
  - !Temporal {rank_variable: m, tile_shape: 1}
  - !Temporal {rank_variable: n, tile_shape: 1}
  - !Temporal {rank_variable: k, tile_shape: 1}
  - !Compute {einsum: Z, component: mac}
"""
WHOLE = ARCH + WORKLOAD + MAPPING

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file and give its path."""

    def made(text: str, name: str = "case.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return made


def read_time(spec: Spec) -> Fraction:
    return spec.arch.component("Z", "DRAM").ports[0].durations["read"]


# Files -------------------------------------------------------------------------------------------


def test_one_file(write: Write) -> None:
    path = write(WHOLE)
    expected = load(path)
    assert read_time(expected) == Fraction(1, 8)
    assert load(str(path)) == expected
    assert load([path]) == expected
    assert load(path, path) == expected
    assert load(path.parent / "c*.yaml") == expected


def test_several_files_are_merged_by_key(write: Write) -> None:
    files = [write(ARCH, "a.yaml"), write(WORKLOAD, "w.yaml"), write(MAPPING, "m.yaml")]
    spec = load(*files)
    assert spec.arch == load(write(WHOLE)).arch
    assert spec.mapping.nodes[0].where == "mapping.nodes[0] (m.yaml, line 4)"
    assert spec.workload.einsums[0].where == "workload.einsums[0] (w.yaml, line 6)"


def test_the_first_file_with_a_key_counts(write: Write) -> None:
    other = write(ARCH.replace("throughput: 8", "throughput: 2"), "other.yaml")
    assert read_time(load(write(WHOLE), other)) == Fraction(1, 8)
    assert read_time(load(other, write(WHOLE))) == Fraction(1, 2)


def test_lines(write: Write) -> None:
    spec = load(write(WHOLE))
    assert spec.mapping.nodes[1].where == "mapping.nodes[1] (line 21)"
    with pytest.raises(SpecError) as caught:
        load(write(WHOLE.replace("size: inf", "size: info")))
    assert str(caught.value).startswith(
        "arch.nodes[0].size (line 6), for Einsum 'Z': cannot evaluate 'info': 'info' is not defined"
    )


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ([], "no file is given.*name at least one file"),
        (["missing.yaml"], "missing.yaml: there is no such file"),
        (["cas.yaml"], "Did you mean 'case.yaml'"),
        (["."], "the path is a directory.*name a file"),
        (["empty.yaml"], "empty.yaml: the file is empty"),
        (["list.yaml"], "list.yaml: the file does not contain a mapping"),
        (["latin.yaml"], r"latin.yaml: the file is not UTF-8 \(byte 3\).*save it as UTF-8"),
        (["binary.yaml"], "not UTF-8|not valid YAML"),
        ([3], "cannot load a int"),
        ([b"case.yaml"], "cannot load a bytes"),
        ([{"arch": 1}], "cannot load a dict.*Spec.from_dict"),
        (["a\0b"], "null character"),
    ],
)
def test_files_that_cannot_be_read(
    files: list[Any], why: str, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(WHOLE)
    write("", "empty.yaml")
    write("- 1", "list.yaml")
    (tmp_path / "latin.yaml").write_bytes("a: é".encode("latin-1"))
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=why):
        load(*files)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_a_file_without_permission(write: Write) -> None:
    path = write(WHOLE)
    path.chmod(0)
    with pytest.raises(SpecError, match="the file cannot be read"):
        load(path)


def test_a_byte_order_mark_is_fine(write: Write) -> None:
    assert load(write("\ufeff" + WHOLE)) == load(write(WHOLE, "b.yaml"))


# YAML --------------------------------------------------------------------------------------------


def test_scalars() -> None:
    tree = parse(
        """
        float: 0.1
        exponent: 7.03e-12
        integer: 1_000
        hex: 0x1F
        octal: 0o17
        binary: 0b101
        inf: .inf
        text: yes
        flag: TRUE
        nothing: ~
        quoted: "1"
        block: |
          a b
        forced: !!str 5
        date: 2001-01-01
        negative: -3
        large: 123456789012345678901234567890
        """
    )
    assert tree["float"] == Fraction(1, 10)
    assert tree["exponent"] == Fraction("7.03e-12")
    assert [tree[k] for k in ("integer", "hex", "octal", "binary")] == [1000, 31, 15, 5]
    assert tree["inf"] == float("inf")
    assert (tree["text"], tree["flag"], tree["nothing"]) == ("yes", True, None)
    assert isinstance(tree["quoted"], Quoted)
    assert not isinstance(tree["text"], Quoted)
    assert (tree["block"], tree["forced"], tree["date"]) == ("a b\n", "5", "2001-01-01")
    assert tree["negative"] == -3
    assert tree["large"] == 123456789012345678901234567890


def test_anchors_and_merge_keys(write: Write) -> None:
    text = """
      base: &base {name: read, throughput: 8}
      list:
      - *base
      - <<: *base
        throughput: 4
      - {<<: [{a: 1}, {a: 2, b: 3}], c: 4}
      deep:
        x: {y: 1, l: [1]}
        kept: !nomerge {y: 1}
        <<<: {x: {y: 2, z: 3, l: [2]}, kept: {z: 5}, w: 4}
    """
    tree = parse(text)
    assert tree["list"] == [
        {"name": "read", "throughput": 8},
        {"name": "read", "throughput": 4},
        {"a": 1, "b": 3, "c": 4},
    ]
    assert tree["deep"] == {"x": {"y": 1, "l": [1, 2], "z": 3}, "kept": {"y": 1}, "w": 4}
    merged = ARCH.replace("- {name: write, throughput: 4}", "- {<<: *read, name: write}").replace(
        "- {name: read", "- &read {name: read"
    )
    assert load(write(merged + WORKLOAD + MAPPING)).arch.paths["Z"][0].ports[0].durations == {
        "read": Fraction(1, 8),
        "write": Fraction(1, 8),
    }


def test_types_as_keys_or_tags(write: Write) -> None:
    text = WHOLE.replace("!Compute {einsum", "{type: Compute, einsum").replace(
        "- !Memory\n", "- type: '!Memory'\n"
    )
    assert load(write(text)).arch == load(write(WHOLE, "b.yaml")).arch


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: 1\na: 2", r"case.yaml, line 2: duplicate key 'a', first on line 1"),
        ("a: [1", "case.yaml, line 1: not valid YAML"),
        ("a: *x", "not valid YAML: .*undefined alias 'x'"),
        ("a: &x [*x]", "an alias contains itself"),
        ("1: 2", "case.yaml, line 1: the key '1' is not a string.*put the key in quotes"),
        ("[a]: 2", "the key is not a string"),
        ("? " + "x" * 500 + "\n: 1", "a key of 500 characters is too long"),
        ("a: 1\n---\nb: 2", "not valid YAML: .*single document|but found another document"),
        (
            "a: !!python/object/apply:os.system ['true']",
            "unknown tag '!!python/object/apply:os.system'",
        ),
        ("a: !Storge {}", "unknown tag '!Storge'.*Did you mean 'Storage'"),
        ("a: !Storage [1]", "the tag !Storage cannot precede a list"),
        ("a: !Storage text", "the tag !Storage cannot precede 'text'"),
        ("a: .nan", "not a number"),
        ("a: 1e99999999", "its exponent is too large"),
        ("a: " + "9" * 100_000, "too long|too large"),
        ("a: 0x" + "f" * 100_000, "too long|too large"),
        ("a: {<<: 3}", "<< can merge only mappings"),
        ("a: {<<: {}, <<: {}}", "more than one merge key"),
        ("a: !include {}", "!include needs a file name"),
        ("a: !include_loaded x", "no file was included as 'x'"),
        ("a: !include missing.yaml", "there is no file"),
        ("\t- a", "not valid YAML"),
        ("a: \x01", "not valid YAML"),
        ("{" * 5000, "nested too deeply|not valid YAML"),
        ("[" * 200 + "]" * 200, "levels deep"),
        ("- " * 500 + "a", "levels deep|nested too deeply"),
        ("%YAML 9.9\n---\na: 1", "not valid YAML|unknown key"),
        ("? ", "not a string|not valid YAML"),
    ],
)
def test_bad_yaml(text: str, why: str, write: Write) -> None:
    with pytest.raises(SpecError, match=why):
        load(write(text))


def test_alias_bombs(write: Write) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    start = time.monotonic()
    with pytest.raises(SpecError, match="values, including aliases"):
        load(write("\n".join(lines)))
    maps = ["a0: &a0 {x: 1}"]
    maps += [
        f"a{i}: &a{i} {{<<: *a{i - 1}, l{i}: *a{i - 1}, r{i}: *a{i - 1}}}" for i in range(1, 40)
    ]
    with pytest.raises(SpecError, match="values, including aliases"):
        load(write("\n".join(maps)))
    assert time.monotonic() - start < 20


# Variables ---------------------------------------------------------------------------------------


def test_quoted_variables_are_texts(write: Write) -> None:
    text = "variables: {a: 'b', b: 2, c: b * 2, w: \"4\"}\n"
    arch = ARCH.replace("throughput: 8", "throughput: c if a == 'b' else 1")
    assert read_time(load(write(text + arch + WORKLOAD + MAPPING))) == Fraction(1, 4)
    with pytest.raises(SpecError, match=r"'w' \(= '4'\) must be a number"):
        load(write(text + WHOLE.replace("throughput: 8", "throughput: w")))


def test_variables_reach_expressions_and_templates(write: Write) -> None:
    text = WHOLE.replace("throughput: 8", "throughput: T").replace("M: 4", "M: {{ M }}")
    spec = load(write(text), T="1/3", M=16)
    assert read_time(spec) == 3
    assert "-m + 15" in [str(c) for c in spec.workload.einsums[0].constraints]
    with pytest.raises(
        SpecError, match=r"line 13: the template .*'M' is undefined.*load\(…, M=…\), or --set M=…"
    ):
        load(write(text), T=1)
    with pytest.raises(SpecError, match="'T' is not defined"):
        load(write(text), jinja_parse_data={"M": 4, "T": 3})
    assert read_time(load(write("variables: {T: 5}\n" + text), M=4)) == Fraction(1, 5)
    assert read_time(load(write("variables: {T: 5}\n" + text), M=4, T=0.1)) == 10


def test_variables_of_odd_kinds(write: Write) -> None:
    with pytest.raises(SpecError, match="x: cannot use a value of type object"):
        load(write(WHOLE), x=object())
    with pytest.raises(SpecError, match="x: cannot use this number"):
        load(write(WHOLE), x=float("nan"))
    load(write("variables: {x: 1, y: 2}\n" + WHOLE), x=[1, {"a": None}], y=True)


def test_a_variable_that_nothing_uses_is_a_misspelt_one(write: Write) -> None:
    template = WHOLE.replace("M: 4", "M: {{ sizes | default(4) }}{% if 0 %}{{ other }}{% endif %}")
    path = write("variables: {T: 5}\n" + template)
    load(path, sizes=4, other=1, T=2)
    with pytest.raises(
        SpecError,
        match=r"^the input has no variable 'size' \(it has: T, other, sizes\)\."
        r" Did you mean 'sizes'\?$",
    ):
        load(path, T=2, size=4)
    with pytest.raises(SpecError, match=r"no variable 'q'\. Fix: use one of: T, other, si"):
        load(path, q=4)
    plain = write(WHOLE, "plain.yaml")
    for name in ("q", "m", "Z", "DRAM", "variables", "M", "max"):
        given: dict[str, Any] = {name: 4}
        with pytest.raises(SpecError, match=f"no variable '{name}'. Fix: leave it out"):
            load(plain, **given)
    load(path, jinja_parse_data={"q": 4})  # for other files, too


def test_a_variable_may_be_used_where_nothing_is_evaluated(write: Write) -> None:
    text = WHOLE.replace("throughput: 8", "throughput: 8 if 1 else T, energy: 2 * E")
    assert read_time(load(write(text), T=3, E="1/2")) == Fraction(1, 8)
    included = write("{M: {{ size }}, N: 4, K: 4}", "sizes.yaml")
    whole = WHOLE.replace("{M: 4, N: 4, K: 4}", f"{{{{ include('{included.name}') }}}}")
    load(write(whole, "including.yaml"), size=4)


# Templates ---------------------------------------------------------------------------------------


def test_loops_and_conditions(write: Write) -> None:
    text = """
{% set widths = {"A": 4, "B": 2} %}
arch:
  nodes:
  - !Memory
    name: DRAM
    size: {{ SIZE | default("inf") }}
    actions:
    {% for name in ["read", "write"] %}
    - {name: {{ name }}, throughput: {{ loop.index * 2 ** 3 }}}
    {% endfor %}
    bits_per_value:
    {%- for k, v in widths.items() %}
      {{ k ~ "" }}: {{ v }}{{ " # last" if loop.last }}
    {%- endfor %}
  {% if SIZE is defined %}{# nothing #}{% endif %}
  {% macro unit(name) -%}
  !Compute {name: {{ name }}, actions: [{name: compute, throughput: 1}]}
  {%- endmacro %}
  - {{ unit("mac") }}
  {% assert widths.A == 4, "wrong" %}
"""
    spec = load(write(text + WORKLOAD + MAPPING))
    found = spec.arch.component("Z", "DRAM")
    assert found.ports[0].durations == {"read": Fraction(1, 8), "write": Fraction(1, 16)}
    assert found.bits_per_value == {"A": 4, "B": 2, "Z": 8}


def test_includes(write: Write, tmp_path: Path) -> None:
    write(
        "memory: {name: DRAM, size: {{ SIZE }}, actions: {{ include('actions.yaml', 'all') }}}",
        "parts/memory.yaml",
    )
    write("all: [{name: read, throughput: 8}, {name: write, throughput: 4}]", "parts/actions.yaml")
    write(
        "# a comment\n- !Compute {name: mac, actions: [{name: compute, throughput: 1}]}",
        "parts/compute.txt",
    )
    write("m: {{ X }}", "more/m1.yaml")
    write("m: 2", "more/m2.yaml")
    text = """
{{ add_to_path("parts") }}
variables:
  where: "{{ cwd() }}"
  found: "{{ find_path('memory.yaml') }}"
  there: {{ path_exists("memory.yaml") and not path_exists("none.yaml") }}
  several: {{ include_all("more/*.yaml", "m", X=1) }}
  number: {{ find_paths("more/*.yaml") | length }}
  tagged: !include parts/actions.yaml
  folder: !includedir more
arch:
  nodes:
  - !Memory
    <<: {{ include("memory.yaml", "memory", SIZE=64) }}
    actions_scale: number
  {{ include_text("compute.txt") | replace("\\n", "\\n  ") }}
"""
    spec = load(write(text + WORKLOAD + MAPPING), X=7)
    found = spec.arch.component("Z", "DRAM")
    assert found.size == 64
    assert found.actions_per_value["read", "A"] == 16
    write("arch: {nodes: [{type: Memory}]}", "parts/bad.yaml")
    with pytest.raises(
        SpecError, match=r"arch.nodes\[0\].Memory|bad.yaml, line 1.*'name' is missing"
    ):
        load(write("arch: {{ include('parts/bad.yaml', 'arch') }}" + WORKLOAD + MAPPING))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ include('none.yaml') }}", "there is no file 'none.yaml'"),
        ("{{ include('case.yaml') }}", "files include each other more than 20 deep"),
        ("{{ include_text('case.yaml') }}", "files include each other more than 20 deep"),
        ("a: {{ include('other.yaml', 'x.y') }}", "the included file has no key 'y'"),
        ("{{ include('*.yaml') }}", "matches 2 files.*use include_all"),
        ("{% include 'none' %}", "there is no file 'none'"),
        ("{% for %}", "line 1: the template cannot be rendered"),
        ("\n\n{{ 1 / 0 }}", "line 3: the template cannot be rendered: ZeroDivisionError"),
        ("{{ unknown.attribute }}", "'unknown' is undefined"),
        ("{% assert false, 'too bad' %}", "assertion failed: too bad"),
        ("{% assert false %}", "assertion failed on line 1"),
        ("{{ find_path('none') }}", "there is no file 'none'"),
        ("{{ none_such() }}", "'none_such' is undefined"),
    ],
)
def test_bad_templates(text: str, why: str, write: Write) -> None:
    write("x: {z: 1}", "other.yaml")
    with pytest.raises(SpecError, match=why):
        load(write(text))


def test_setenv_is_refused(write: Write) -> None:
    with pytest.raises(UnsupportedError, match="setenv would change the environment"):
        load(write("{{ setenv('POLYLAT_TEST', 'x') }}"))
    assert "POLYLAT_TEST" not in os.environ


@pytest.mark.parametrize(
    "text",
    [
        "''.__class__.__mro__[1].__subclasses__()",
        "().__class__",
        "''['__class__']",
        "''|attr('__class__')",
        "cwd.__globals__",
        "include.__globals__['os'].system('true')",
        "self.__init__.__globals__",
        "self._TemplateReference__context",
        "range.__self__",
        "cycler.__init__.__globals__.os",
        "lipsum.__globals__['os'].popen('id').read()",
        "namespace.__init__.__globals__",
        "joiner.__init__",
        "'{0.__class__}'.format(1)",
        "'{x.__class__}'.format_map({'x': 1})",
        "'%s' % 1",
        "[].append(1)",
        "{}.update({})",
        "import('os')",
        "open('/etc/passwd').read()",
        "request.application.__globals__",
        "config.items()",
        "''.join.__self__",
        "dict.__base__",
        "(1).__class__.__bases__",
        "[1]|map('__class__')|list",
        "[1]|map(attribute='__class__')|list|first|string + undefined_name",
        "'x'.encode()",
        "debug()",
        "caller.__globals__",
    ],
)
def test_templates_do_not_escape(text: str, write: Write) -> None:
    with pytest.raises(PolylatError):
        load(write(f"a: {{{{ {text} }}}}" + WHOLE))


def grown(start: str, step: str) -> str:
    """A template that grows a value sixty times, and prints it."""
    again = f"{{% for i in range(60) %}}{{% set n.x = {step} %}}{{% endfor %}}"
    return f"{{% set n = namespace(x={start}) %}}{again}{{{{ n.x }}}}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a' * 10**9 }}",
        "{{ [1] * 10**9 }}",
        "{{ 9**9**9 }}",
        "{{ 10**10000 * 10**10000 }}",
        "{{ range(10**9) | list }}",
        "{% for a in range(10**5) %}{% for b in range(10**5) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ a ~ b }}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{{ f(n - 1) }}{{ f(n - 1) }}{% endmacro %}{{ f(100) }}",
        "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(40) }}",
        grown("'ab'", "n.x ~ n.x"),
        grown("'ab'", "n.x + n.x"),
        grown("[1]", "n.x + n.x"),
        grown("[1]", "[n.x, n.x]"),
        grown("'ab'", "[n.x, n.x]|join"),
        grown("'ab'", "n.x|replace('a', n.x)"),
        "{% set a %}{{ 'x' }}{% endset %}" + "{% set a %}{{ a }}{{ a }}{% endset %}" * 60,
        "{{ 'x'|center(10**9) }}",
        "{{ 'x'.ljust(10**9) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ '%1000000000d'|format(1) }}",
        "{{ 'x'|indent(10**9) }}",
        "{{ lipsum(10**9) }}",
        "{{ [[1] + [2], [3]]|sum(start=[]) }}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
        "{{ " + "1+" * 3000 + "1 }}",
    ],
)
def test_the_work_of_a_template_is_bounded(text: str, write: Write) -> None:
    start = time.monotonic()
    with pytest.raises(PolylatError):
        load(write(text))
    assert time.monotonic() - start < 20


def test_reading_needs_no_isl(write: Write) -> None:
    import subprocess
    import sys

    path = write(WHOLE)
    code = (
        "import sys; from polylat.spec.reading.load import load; "
        f"load({str(path)!r}); print('islpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_the_package_itself_imports_quickly() -> None:
    import subprocess
    import sys

    code = (
        "import sys, polylat.spec, polylat.spec.options; "
        "print([m for m in ('islpy', 'networkx', 'numba', 'numpy', 'rich') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Schedule ----------------------------------------------------------------------------------------


def test_schedule(write: Write) -> None:
    text = (
        WHOLE
        + """
schedule:
  granularity: full
  background: [Z]
  slots: {A: ~}
  max_tiles: 1e6
"""
    )
    assert load(write(text)).schedule == {
        "granularity": "full",
        "background": (("Z", None),),
        "slots": {"A": None},
        "max_tiles": 1_000_000,
    }
    with pytest.raises(PolylatError, match=re.escape("schedule.slots (line 26): slots names")):
        load(write(text.replace("{A: ~}", "{Q: 2}")))


def test_lines_of_a_template(write: Write) -> None:
    same = WHOLE.replace("M: 4", "M: {{ 4 }}")
    assert load(write(same)).mapping.nodes[1].where == "mapping.nodes[1] (line 21)"
    more = "{% set x = 1 %}{# two\nlines #}" + same
    assert load(write(more)).mapping.nodes[1].where == (
        "mapping.nodes[1] (case.yaml as rendered, line 21)"
    )


def test_included_files_must_be_regular(write: Write) -> None:
    with pytest.raises(SpecError, match="the file is not a regular file"):
        load(write("{{ include('.') }}"))


@pytest.mark.parametrize("file", ["", "\ud800"])
def test_names_that_no_file_has(file: str) -> None:
    with pytest.raises(SpecError, match="file name"):
        load(file)


def test_templates_data_that_is_none(write: Write) -> None:
    with pytest.raises(SpecError, match="jinja_parse_data must be a mapping, not 3"):
        load(write(WHOLE), jinja_parse_data=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("escape", ["\\ud800", "\\e[31mDRAM", "D\\x07RAM", "\\x9b2J"])
def test_characters_that_are_none(write: Write, escape: str) -> None:
    """Surrogates, which no file can hold, and control characters of terminals."""
    with pytest.raises(SpecError, match=r"line 5: .*does not show") as error:
        load(write(WHOLE.replace("name: DRAM", f'name: "{escape}"')))
    assert str(error.value).isprintable()
    with pytest.raises(SpecError, match=r"does not show") as key:
        load(write(f'"{escape}": 1\n' + WHOLE))
    assert all(line.isprintable() for line in str(key.value).splitlines())
    with pytest.raises(SpecError, match=r"x: .*does not show"):
        load(write("variables: {x: 1}\n" + WHOLE), x="\ud800")
