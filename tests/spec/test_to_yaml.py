"""Specs as YAML: what is written is read back as the same Spec."""

from __future__ import annotations

import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import polylat
from builders import EXAMPLES, OURS
from polylat import Spec, UnsupportedError
from polylat.characters import find_hidden
from polylat.errors import PolylatError
from polylat.spec.reading.evaluate import evaluate
from polylat.spec.reading.load import load
from polylat.spec.reading.tree import Quoted
from polylat.spec.reading.yaml_text import parse
from polylat.spec.writing.schedule_data import schedule_data
from polylat.spec.writing.yaml_output import dump
from strategies import Data, cascades

WORDS = [
    cased
    for word in ("null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan", "e1")
    for cased in (word, word.upper(), word.capitalize())
]


def example(name: str, **variables: Any) -> Spec:
    return load(*(EXAMPLES / f"{part}.yaml" for part in ("arch", "workload", name)), **variables)


def read_back(spec: Spec, **options: Any) -> Spec:
    return Spec.from_parts(evaluate(parse(spec.to_yaml(**options))))


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(OURS.glob("*.yaml")), ids=lambda path: path.stem)
def test_our_cases(path: Path) -> None:
    spec = load(path)
    assert read_back(spec) == spec
    assert read_back(spec).to_yaml() == spec.to_yaml()


@given(cascades())
def test_random_cascades(case: tuple[Data, Data]) -> None:
    """With their options, and after an analysis, which adds the others."""
    plain, options = case
    try:
        spec = Spec.from_dict({**plain, "schedule": {**plain.get("schedule", {}), **options}})
        report = polylat.analyze(spec)
    except PolylatError:
        return
    assert read_back(spec) == spec
    assert read_back(report.spec) == report.spec
    assert polylat.analyze(read_back(report.spec)).latency == report.latency
    without = read_back(report.spec, schedule=False)
    assert (without.mapping, dict(without.schedule)) == (spec.mapping, {})


def test_the_machine_and_the_options_are_kept() -> None:
    files = [EXAMPLES / "gemmini" / f"{name}.yaml" for name in ("arch", "mapping", "schedule")]
    spec = load(*files)
    text = spec.to_yaml()
    assert "schedule:" in text and "latency:" in text
    assert read_back(spec) == spec
    assert "schedule:" not in spec.to_yaml(schedule=False)


def test_changed_mappings() -> None:
    spec = example("tap_refetched")
    changed = (spec.with_pipelines(), spec.with_pipelines(["e1|e2"]), spec.hoist("o2", "SRAM"))
    for other in changed:
        assert other != spec and read_back(other) == other


def test_variables_and_expressions_are_kept() -> None:
    spec = example("untapped", top="Pipeline")
    assert "!Pipeline" in spec.to_yaml() and "{{" not in spec.to_yaml()
    data = spec_with_variables()
    given_ = Spec.from_dict(data, size=4)
    text = given_.to_yaml()
    assert "size: 4" in text and "2 * size" in text
    assert read_back(given_) == given_ != Spec.from_dict(data)


def spec_with_variables() -> Data:
    """A copy of a vector, whose length is an expression."""
    actions = [{"name": "read", "throughput": "1/3"}, {"name": "write", "throughput": 0.1}]
    memory = {"type": "Memory", "name": "DRAM", "size": "inf", "actions": actions}
    mac = {"type": "Compute", "name": "mac", "actions": [{"name": "compute", "throughput": 1}]}
    z = {"name": "Z", "projection": ["m"], "output": True}
    einsum = {"name": "e", "tensor_accesses": [{"name": "A", "projection": ["m"]}, z]}
    return {
        "variables": {"size": 8, "note": Quoted("size # 1")},
        "workload": {
            "rank_sizes": {"M": "2 * size"},
            "bits_per_value": {"All": Fraction(1, 3)},
            "einsums": [einsum],
        },
        "arch": {"nodes": [memory, mac]},
        "mapping": {
            "nodes": [
                {"type": "Storage", "component": "DRAM", "tensors": ["A", "Z"]},
                {"type": "Temporal", "rank_variable": "m", "tile_shape": 1},
                {"type": "Compute", "einsum": "e", "component": "mac"},
            ]
        },
    }


def test_results_of_an_exploration() -> None:
    """In this process, and from another one."""
    best = polylat.explore(example("tap_resident"), objectives="latency").best
    assert best is not None
    for spec in (best.spec, pickle.loads(pickle.dumps(best.spec))):
        assert polylat.analyze(read_back(spec)).latency == best.latency == 24576


def test_what_was_made_in_python_has_no_text() -> None:
    spec = example("tap_resident")
    report = polylat.analyze(spec)
    faster = next(c.spec for c in report.changes().changes if c.kind == "throughput")
    by_hand = Spec(spec.workload, spec.arch, spec.mapping)
    for made in (faster, by_hand):
        with pytest.raises(UnsupportedError, match="made or changed in Python"):
            made.to_yaml()


TEXTS = st.one_of(
    st.text(max_size=8),
    st.text(st.sampled_from("ab1 :#-~?!&*|>'\"%@`{}[],=<.\n\t_"), max_size=6),
    st.sampled_from(("yes", "no", "null", "~", "0x10", "1_000", "1:30", "1e3", ".inf", "=", "<<")),
)


@given(
    st.recursive(
        st.one_of(
            TEXTS.filter(lambda t: parse_or_none(t) is not None),
            TEXTS.filter(lambda text: find_hidden(text, multiline=True) is None).map(Quoted),
            st.integers(),
            st.fractions(max_denominator=64),
            st.booleans(),
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text("ab~ |", min_size=1), inner)
        ),
        max_leaves=6,
    )
)
def test_values_are_read_as_they_were(value: Any) -> None:
    """Expressions stay expressions, and texts in quotes stay texts."""
    value = {"own": value, "listed": [value, value]}
    assert plain(parse(dump({"value": value}))) == plain({"value": value})


def exact(value: Fraction) -> Fraction:
    """The decimal that a fraction is printed as."""
    return Fraction(repr(float(value)))


def parse_or_none(text: str) -> str | None:
    """Texts that a file can have: printable, without spaces at the ends."""
    return text if text and text == text.strip() and text.isprintable() else None


def plain(value: Any) -> Any:
    """A value with the kind of each text; a fraction may be a number or a quotient."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, Fraction) and value.denominator > 1 and exact(value) != value:
        return False, str(value)
    return (isinstance(value, Quoted), str(value)) if isinstance(value, str) else value


@given(st.from_regex(r"[A-Za-z_][A-Za-z_0-9]*", fullmatch=True) | st.sampled_from(WORDS))
def test_names_need_no_quotes(name: str) -> None:
    """But for words that are another value, a name is read as it is written."""
    assert parse(dump({"key": {"sub": name}}))["key"]["sub"] == name
    read = parse(f"key: {name}")["key"]
    assert isinstance(read, str) == (name.lower() not in ("null", "true", "false"))


def test_options() -> None:
    """The normal forms of options, as text where that is unambiguous."""
    spec = example("tap_resident")
    report = polylat.analyze(spec, background="o2", staged=["SRAM", "o2@SRAM"], slots={"o1": 3})
    data = schedule_data(report.options, {"o1", "o2"})
    assert data["background"] == ["o2"] and data["staged"] == ["SRAM", "o2@SRAM"]
    assert schedule_data({"staged": ((None, "SRAM"),)}, {"SRAM"}) == {
        "staged": [{"component": "SRAM"}]
    }
    assert schedule_data({"staged": ((None, None),)}, ()) == {"staged": ["all"]}
