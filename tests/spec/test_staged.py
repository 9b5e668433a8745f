"""The options that name holders: staged, background and slots, and how they are resolved."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import polylat
from builders import EXAMPLES, OURS
from polylat.errors import OptionError
from polylat.spec import Spec
from polylat.spec.mapping import Branch, Compute, Storage, Toll
from polylat.spec.names import KnownNames, known_names
from polylat.spec.options import normalize_option
from polylat.spec.slots import slots_of
from polylat.spec.staged import Staged, is_staged, normalize_staged, staged_holders
from polylat.spec.workload import Einsum, TensorAccess, Workload

TENSORS, COMPONENTS = ("a", "b", "both"), ("DRAM", "SRAM", "RF", "both")
KNOWN = KnownNames(
    TENSORS,
    COMPONENTS,
    backing=(("a", "DRAM"), ("b", "SRAM")),
    holders=(("a", "SRAM"), ("a", "RF")),
    write_backs=(("a", "RF"),),
)
ONLY_BACKING = KnownNames(TENSORS, COMPONENTS, backing=(("a", "DRAM"),))


def staged(value: object) -> Staged:
    return normalize_staged(value, TENSORS, COMPONENTS)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, ()),
        ([], ()),
        ("all", ((None, None),)),
        ("a", (("a", None),)),
        ("SRAM", ((None, "SRAM"),)),
        (" a @ SRAM ", (("a", "SRAM"),)),
        (("a", "SRAM"), (("a", "SRAM"),)),
        (["a", "SRAM"], (("a", None), (None, "SRAM"))),
        ([["a", "SRAM"]], (("a", "SRAM"),)),
        ([("a", None), (None, "RF")], (("a", None), (None, "RF"))),
        ({"tensor": "a", "component": "RF"}, (("a", "RF"),)),
        ({"tensor": "both"}, (("both", None),)),
        ([{"component": "both"}], ((None, "both"),)),
        (["a", "a"], (("a", None),)),
        ({"a"}, (("a", None),)),
    ],
)
def test_forms_of_staged(value: object, found: Staged) -> None:
    assert staged(value) == found
    assert staged(found) == found, "the normal form is a form"
    hash(found)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "staged must be a list of holders, not 3. Fix: name them as"),
        (b"a", "staged must be a list of holders"),
        ([3], "staged: 3 is not a holder. Fix: write"),
        ([["a", "SRAM", "x"]], "staged: ['a', 'SRAM', 'x'] is not a holder"),
        ([["a", 1]], "staged: ['a', 1] is not a holder"),
        ({}, "staged: {} is not a holder"),
        ({"tensors": "a"}, "staged: {'tensors': 'a'} is not a holder"),
        ("SRAN", "staged names 'SRAN', which is neither a tensor nor a component. Did you mean"),
        ("", "staged names '', which is neither a tensor nor a component."),
        ("c@SRAM", "staged names the tensor 'c', which does not exist."),
        ("a@SRAN", "staged names the component 'SRAN', which does not exist. Did you mean 'SRAM'?"),
        (
            "both",
            (
                "staged: 'both' is a tensor and a component. Fix: write {tensor: both},"
                " {component: both} or tensor@component."
            ),
        ),
    ],
)
def test_wrong_forms_of_staged(value: object, message: str) -> None:
    with pytest.raises(OptionError) as error:
        staged(value)
    assert str(error.value).startswith(message)


def test_a_tensor_named_all() -> None:
    with pytest.raises(OptionError, match="'all' is a tensor and the word for every holder"):
        normalize_staged("all", ["all"], ["RF"])


def test_is_staged() -> None:
    assert is_staged(staged("all"), "b", "RF")
    assert is_staged(staged("RF"), "b", "RF")
    assert not is_staged(staged("RF"), "b", "SRAM")
    assert is_staged(staged("a"), "a", "RF")
    assert not is_staged(staged("a"), "b", "RF")
    assert not is_staged(staged(["a@SRAM", "b@RF"]), "a", "RF")
    assert not is_staged((), "a", "RF")
    assert staged_holders(staged("all"), KNOWN) == (("a", "RF"), ("a", "SRAM"))
    assert staged_holders(staged("b"), KNOWN) == (), "b has its backing storage only"


@pytest.mark.parametrize(
    ("option", "value", "known", "message"),
    [
        (
            "staged",
            "a@DRAM",
            KNOWN,
            (
                "here: staged names 'a@DRAM', the backing storage of the tensor, which is filled"
                " from nowhere. Fix: use one of: a@SRAM, a@RF."
            ),
        ),
        (
            "staged",
            "b@RF",
            KNOWN,
            (
                "here: staged names 'b@RF', but the mapping has no such Storage. Fix: use one of:"
                " a@SRAM, a@RF."
            ),
        ),
        (
            "staged",
            "a@RF",
            ONLY_BACKING,
            (
                "here: staged names 'a@RF', but the mapping has no such Storage. Fix: leave it out:"
                " every tensor has its backing storage only."
            ),
        ),
        (
            "background",
            "a@DRAM",
            KNOWN,
            (
                "here: background names 'a@DRAM', but nothing is written back from DRAM for a. Fix:"
                " name the component that it is written back from: a@RF."
            ),
        ),
        (
            "background",
            "a@SRAM",
            KNOWN,
            (
                "here: background names 'a@SRAM', but nothing is written back from SRAM for a. Fix:"
                " use one of: a@RF."
            ),
        ),
        (
            "background",
            "b@SRAM",
            KNOWN,
            (
                "here: background names 'b@SRAM', but nothing is written back from SRAM for b. Fix:"
                " use one of: a@RF."
            ),
        ),
        (
            "background",
            "b@SRAM",
            ONLY_BACKING,
            (
                "here: background names 'b@SRAM', but nothing is written back from SRAM for b. Fix:"
                " leave it out: the mapping writes nothing back."
            ),
        ),
        (
            "slots",
            {"b@RF": 3},
            KNOWN,
            (
                "here: slots names 'b@RF', but the mapping has no such Storage. Fix: use one of:"
                " b@SRAM."
            ),
        ),
        (
            "slots",
            {"a@RG": 3},
            KNOWN,
            "here: slots names the component 'RG', which does not exist.",
        ),
        (
            "slots",
            {"a@RF": 3, "a @ RF": 2},
            KNOWN,
            "here: slots of 'a@RF' are given twice. Fix: remove one.",
        ),
    ],
)
def test_pairs_that_the_mapping_lacks(
    option: str, value: object, known: KnownNames, message: str
) -> None:
    with pytest.raises(OptionError) as error:
        normalize_option(option, value, known, where="here")
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("staged", ["a@SRAM", "b", "DRAM", "all"]),
        ("background", ["a@RF", "b"]),
        ("slots", {"a@RF": 1, "a": 3, "b@SRAM": 4, "a@DRAM": None}),
    ],
)
def test_names_that_the_mapping_has(option: str, value: object) -> None:
    """A bare name means all of its holders, of which there may be none."""
    normal = normalize_option(option, value, KNOWN)
    assert normalize_option(option, normal, KNOWN) == normal


def test_slots_of_a_pair_win() -> None:
    slots = {"a@RF": 1, "a": 3}
    assert [slots_of(slots, "a", c) for c in ("RF", "SRAM")] == [1, 3]
    assert slots_of(slots, "b", "RF") == 2
    assert slots_of(5, "b", "RF") == 5
    assert slots_of(None, "b", "RF") is None
    assert slots_of({"a": None}, "a", "RF") is None


def names(spec: Spec) -> KnownNames:
    return known_names(spec.workload, spec.arch.order, spec.mapping)


def test_holders_of_a_mapping() -> None:
    spec = polylat.load(OURS / "issue_o2_to_dram.yaml")
    found = names(spec)
    assert ("o2", "SRAM") in found.holders
    assert ("o2", "DRAM") in found.backing
    assert found.write_backs == (("o2", "SRAM"),)
    assert set(found.write_backs) <= set(found.holders)


def test_a_tensor_that_only_passes_a_toll() -> None:
    mapping = Branch((Toll("bus", ("a",)), Storage("SRAM", ("b",))), Compute("e", "mac"))
    accesses = (
        TensorAccess("a", (), ((),), None, Fraction(8)),
        TensorAccess("b", (), (), (), Fraction(8)),
    )
    found = known_names(Workload((Einsum("e", (), (), accesses),)), ("SRAM", "bus"), mapping)
    assert (found.backing, found.holders) == ((("b", "SRAM"),), ())


# From the option to the report -------------------------------------------------------------------

FILES = [EXAMPLES / name for name in ("arch.yaml", "workload.yaml", "tap_resident.yaml")]


def with_schedule(tmp_path: Path, schedule: dict[str, Any]) -> Spec:
    file = tmp_path / "schedule.yaml"
    file.write_text(json.dumps({"schedule": schedule}), encoding="utf-8")
    return polylat.load(*FILES, file)


def test_staged_in_the_file(tmp_path: Path) -> None:
    spec = with_schedule(tmp_path, {"staged": "all", "slots": {"o2@SRAM": 3}})
    assert spec.schedule == {"staged": ((None, None),), "slots": {"o2@SRAM": 3}}
    with pytest.raises(OptionError, match=r"schedule.staged \(schedule.yaml, line 1\): staged nam"):
        with_schedule(tmp_path, {"staged": "o2@DRAM"})
    with pytest.raises(OptionError, match=r"schedule.background .* from: o2@SRAM"):
        with_schedule(tmp_path, {"background": "o2@DRAM"})


def test_neutral_properties_of_the_machine(tmp_path: Path) -> None:
    """Roofline knows none of them; those without an effect leave the analysis as it is."""
    for schedule in (
        {"staged": "all"},
        {"latency": {"SRAM": {"read": 1}}},
        {"setup": {"SRAM": {"read": 1}}},
        {"burst": {"SRAM": {"read": 2}}},
        {"rigid": "mac"},
    ):
        given = with_schedule(tmp_path, schedule)
        assert polylat.roofline(given).latency == polylat.roofline(polylat.load(*FILES)).latency
    neutral = {"latency": {"SRAM": {"read": 0}}, "burst": {"SRAM": {"read": 1}}, "staged": []}
    report = polylat.analyze(with_schedule(tmp_path, neutral))
    assert report.staged_holders == ()
    assert report.to_dict()["staged_holders"] == []
    assert report.latency == polylat.analyze(polylat.load(*FILES)).latency
