"""Reading AccelForge's objects, on stand-ins: AccelForge itself need not be there.

The stand-ins have the names, fields and defaults of AccelForge's classes, those of its newer
versions included. ``test_accelforge.py`` has the same with AccelForge itself.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

import polylat
from polylat.accelforge import best, from_spec, rerank, to_spec
from polylat.accelforge.busy_times import busy_times
from polylat.errors import MissingExtraError, OptionError, SpecError, UnsupportedError
from polylat.spec import Spec


class Stand(BaseModel):
    """A model of AccelForge's: unknown fields are an error."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


def model(name: str, /, **fields: Any) -> Any:
    """A class of AccelForge's, with the defaults of its fields."""
    body: dict[str, Any] = {"__annotations__": dict.fromkeys(fields, Any), **fields}
    body["__module__"] = "accelforge.frontend.stand_in"
    return type(name, (Stand,), body)


Access = model("TensorAccess", name=None, projection=None, output=False, bits_per_value=None)
Einsum = model("Einsum", name=None, tensor_accesses=[], n_instances=1)
Workload = model("Workload", einsums=[], rank_sizes={}, bits_per_value={}, iteration_space_shape={})
Tensors = model("Tensors", keep="<Defaults to Nothing>")
Action = model("Action", name=None, energy=None, throughput=None, latency_scale=1)
Default = "sum(a.n_calls / a.throughput for a in actions)"
Memory = model(
    "Memory", name=None, size=None, actions=[], tensors=Tensors(), total_latency=Default, later=0
)
Spatial = model("Spatial", name=None, fanout=1, may_reuse="<Defaults to All>")
MacUnit = model("Compute", name=None, actions=[], total_latency=Default, spatial=[])
Arch = model("Arch", nodes=[])
Temporal = model("Temporal", rank_variable=None, tile_shape="symbol", text=None)
Storage = model("Storage", tensors=[], component=None, component_object=None, binding=[], text=None)
Compute = model("Compute", einsum=None, component=None, text=None)
TextBox = model("TextBox", text=None)
Reservation = model("Reservation", purposes=[], resource=None)
Mapping = model("Mapping", nodes=[], title=None)
Nested = model("Nested", nodes=[])
Strange = model("Strange", nodes=[])


class Extras(Stand):
    """An object with any names."""

    model_config = ConfigDict(extra="allow")


Variables: Any = Extras


class LiteralString(str):
    """A text that is no expression."""

    __slots__ = ()


class Symbol:
    """A symbol, as in computer algebra systems."""

    free_symbols = frozenset(("stride0",))

    def __str__(self) -> str:
        return "stride0"


class Integer:
    """A number of a computer algebra system."""

    is_Integer = True  # noqa: N815

    def __int__(self) -> int:
        return 4


class Evaluated(Stand):
    """A set of tensors, which is the value of an expression."""

    instance: Any = frozenset()
    full_space: Any = frozenset()


def stand_in(**changes: Any) -> Any:
    """AccelForge's Spec of a sum of four values."""
    actions = [Action(name="read", throughput=2), Action(name="write", throughput=2)]
    fields = {
        "arch": Arch(
            nodes=[
                Memory(name="DRAM", size="inf", actions=actions),
                MacUnit(name="mac", actions=[Action(name="compute", throughput=1)]),
            ]
        ),
        "mapping": mapping(),
        "workload": Workload(
            einsums=[
                Einsum(
                    name="total",
                    tensor_accesses=[
                        Access(name="A", projection={"K": "k"}),
                        Access(name="Z", projection={}, output=True),
                    ],
                )
            ],
            rank_sizes={"K": "size"},
            bits_per_value={"All": 8},
        ),
        "variables": Variables(size=4, what=LiteralString("a + b")),
        "renames": model("Renames", einsums=[])(),
    }
    fields |= changes
    made: Any = model("Spec", **dict.fromkeys(fields))(**fields)
    return made


def mapping(tile: Any = 1, *more: Any, **keys: Any) -> Any:
    nodes = [
        TextBox(text="a drawing of"),
        Storage(component="DRAM", tensors=["A", "Z"], component_object=object()),
        Reservation(purposes=["A"], resource="DRAM"),
        *more,
        Temporal(rank_variable="k", tile_shape=tile, text="the loop"),
        Compute(einsum="total", component="mac"),
    ]
    return Mapping(nodes=nodes, **keys)


def same() -> Spec:
    actions = [{"name": "read", "throughput": 2}, {"name": "write", "throughput": 2}]
    accesses = [
        {"name": "A", "projection": ["k"]},
        {"name": "Z", "projection": [], "output": True},
    ]
    return Spec.from_dict(
        {
            "arch": {
                "nodes": [
                    {"type": "Memory", "name": "DRAM", "size": "inf", "actions": actions},
                    {
                        "type": "Compute",
                        "name": "mac",
                        "actions": [{"name": "compute", "throughput": 1}],
                    },
                ]
            },
            "workload": {
                "rank_sizes": {"K": 4},
                "bits_per_value": {"All": 8},
                "einsums": [{"name": "total", "tensor_accesses": accesses}],
            },
            "mapping": {
                "nodes": [
                    {"type": "Storage", "component": "DRAM", "tensors": ["A", "Z"]},
                    {"type": "Temporal", "rank_variable": "k", "tile_shape": 1},
                    {"type": "Compute", "einsum": "total", "component": "mac"},
                ]
            },
        }
    )


def test_analyze_roofline_and_load_take_the_object() -> None:
    assert polylat.load(stand_in()) == same()
    assert polylat.analyze(stand_in()).to_dict() == polylat.analyze(same()).to_dict()
    assert polylat.roofline(stand_in()) == polylat.roofline(same())


@pytest.mark.long
def test_explore_takes_the_object() -> None:
    assert polylat.explore(stand_in()).to_dict() == polylat.explore(same()).to_dict()
    with pytest.raises(SpecError):
        polylat.explore("x")


def test_what_drawings_say_is_no_matter() -> None:
    titled = stand_in(mapping=mapping(1, title="A sum"))
    nested = stand_in(mapping=Mapping(nodes=[Nested(nodes=mapping().nodes)]))
    assert polylat.load(titled) == polylat.load(nested) == same()


def test_variables_can_be_overridden() -> None:
    latency = polylat.analyze(polylat.load(stand_in(), size=8)).latency
    assert latency == 2 * polylat.analyze(same()).latency + Fraction(8, 2)


def test_earlier_states() -> None:
    """``recurrences=`` says what a file has under ``schedule``, which the object does not have."""
    accesses = [
        Access(name="P", projection={"K": "k"}),
        Access(name="A", projection={"K": "k"}),
        Access(name="Z", projection={"K": "k"}, output=True),
    ]
    fields = {"rank_sizes": {"K": "size"}, "bits_per_value": {"All": 8}}
    work = Workload(einsums=[Einsum(name="total", tensor_accesses=accesses)], **fields)
    nodes = mapping().nodes
    nodes[1] = Storage(component="DRAM", tensors=["P", "A", "Z"])
    live = stand_in(workload=work, mapping=Mapping(nodes=nodes))
    found = polylat.load(live, recurrences={"P": "Z[k-1]"})
    assert polylat.load(live).workload.einsums[0].inputs == ("P", "A")
    state = found.workload.einsums[0].access("Z")
    assert [str(index) for (index,) in state.projections] == ["k - 1", "k"]
    ours, theirs = polylat.roofline(found), polylat.roofline(live)
    assert (ours.latency, ours.per_einsum) == (theirs.latency, theirs.per_einsum)
    with pytest.raises(OptionError, match=r"schedule\.recurrences\.P: .* no rank 'm'"):
        polylat.load(live, recurrences={"P": "Z[m-1]"})


def test_busy_times_count_tensors_that_are_accessed_once() -> None:
    """Else they might be no lower bounds: AccelForge counts one access per tensor."""
    accesses = [
        Access(name="A", projection={"K": "k"}),
        Access(name="B", projection={"K": "k"}),
        Access(name="B", projection={"K": "k + 1"}),
        Access(name="Z", projection={"K": "k - 1"}),
        Access(name="Z", projection={"K": "k"}, output=True),
    ]
    fields = {"iteration_space_shape": {"k": "0 <= k < size"}, "bits_per_value": {"All": 8}}
    work = Workload(einsums=[Einsum(name="total", tensor_accesses=accesses)], **fields)
    found = busy_times(stand_in(workload=work), pipelined=False)
    assert found.whole == found.single == {"total": {"A"}}


@pytest.mark.parametrize("tile", [2, 2.0, "size / 2", Fraction(2)])
def test_numbers_and_expressions(tile: Any) -> None:
    tiled = mapping(1, Temporal(rank_variable="k", tile_shape=tile))
    (loop, _) = polylat.load(stand_in(mapping=tiled)).mapping.nodes[1:]
    assert getattr(loop, "tile_shape", None) == 2


def test_numbers_of_computer_algebra_systems() -> None:
    tiled = mapping(1, Temporal(rank_variable="k", tile_shape=Integer()))
    (loop, _) = polylat.load(stand_in(mapping=tiled)).mapping.nodes[1:]
    assert getattr(loop, "tile_shape", None) == 4


@pytest.mark.parametrize(
    ("changes", "kind", "match"),
    [
        ({"mapping": Mapping()}, SpecError, "mapping: the Spec has no mapping"),
        (
            {"mapping": mapping(Symbol())},
            SpecError,
            r"mapping.nodes\[3\].tile_shape: the value 'stride0' is a symbol",
        ),
        (
            {"mapping": mapping(object())},
            SpecError,
            r"mapping.nodes\[3\].tile_shape: cannot use a value of type object",
        ),
        ({"mapping": mapping(float("nan"))}, SpecError, "cannot use this number"),
        (
            {"mapping": mapping(1, Strange())},
            UnsupportedError,
            r"mapping.nodes\[3\]: polylat does not know AccelForge's Strange",
        ),
        (
            {"arch": Arch(nodes=[Memory(name="DRAM", size=1, later=2)])},
            UnsupportedError,
            r"arch.nodes\[0\].later: polylat does not know the field 'later' of AccelForge's",
        ),
        (
            {"variables": Variables(some=Evaluated())},
            SpecError,
            "variables.some: this Spec has been evaluated for one Einsum",
        ),
        (
            {"variables": Variables(some={1: 2})},
            SpecError,
            "variables.some: the key 1 is not a string",
        ),
    ],
)
def test_bad_input(changes: dict[str, Any], kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match):
        polylat.analyze(stand_in(**changes))


@pytest.mark.parametrize("value", ["a.yaml", None, 3, {"workload": {}}])
def test_what_is_no_input(value: Any) -> None:
    for function in (polylat.analyze, polylat.roofline):
        with pytest.raises(SpecError, match=f"cannot analyze a {type(value).__name__}") as error:
            function(value)
        assert "AccelForge's Spec or Mappings" in str(error.value)


@pytest.mark.parametrize("reuse", [{"A"}, frozenset(("A", "Z")), set(), "A | Z"])
def test_sets_are_expressions(reuse: Any) -> None:
    actions = [Action(name="compute", throughput=1)]
    wide = MacUnit(
        name="mac", actions=actions, spatial=[Spatial(name="X", fanout=2, may_reuse=reuse)]
    )
    spec = polylat.load(stand_in(arch=Arch(nodes=[*stand_in().arch.nodes[:1], wide])))
    (dim,) = spec.arch.component("total", "mac").spatial
    assert dim.may_reuse == ({"A", "Z"} if isinstance(reuse, str) else reuse)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        assert name == "accelforge"

    monkeypatch.setattr("polylat.accelforge.find_spec", nothing)
    monkeypatch.setitem(__import__("sys").modules, "accelforge", None)
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    for function in (to_spec, from_spec, rerank, best):
        with pytest.raises(MissingExtraError, match=r"pip install 'polylat\[accelforge\]'"):
            function(same())


def test_what_accelforge_cannot_take() -> None:
    with pytest.raises(SpecError, match="cannot convert a int to a mapping"):
        from_spec(3)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"no option 'ordr'\. Did you mean 'order'"):
        rerank(3, ordr="skew")


Pipeline = model("Pipeline", nodes=[], binding=[])
Threads = model("FFM", n_concurrent_threads=1)
Bindable = model(
    "Compute", name=None, actions=[], total_latency=Default, support_concurrent_binding=False
)
Typed = model(
    "Einsum",
    name=None,
    tensor_accesses=[],
    n_instances=1,
    is_copy_operation=False,
    map="multiply",
    reduce="add",
)
Adapted = model("Workload", einsums=[], einsums_and_adapters=[], rank_sizes={}, bits_per_value={})
Copy = model("CopyAdapter", name=None, tensor=None)


def test_fields_of_the_branch_pipeline() -> None:
    def bound(stages: int, **keys: Any) -> Any:
        nodes = mapping().nodes
        inner = [Nested(nodes=[nodes[-1]]) for _ in range(stages)]
        return Mapping(nodes=[*nodes[:-1], Pipeline(nodes=inner, **keys)])

    (unbound,), (given,) = (
        (polylat.load(stand_in(mapping=bound(1, **keys))).mapping.end,)
        for keys in ({}, {"binding": [3]})
    )
    assert (getattr(unbound, "binding", None), getattr(given, "binding", None)) == ((), (3,))
    assert polylat.load(stand_in(mapper=Threads())) == same()
    with pytest.raises(UnsupportedError, match=r"^mapper.n_concurrent_threads: .* is 2"):
        polylat.load(stand_in(mapper=Threads(n_concurrent_threads=2)))
    memory = stand_in().arch.nodes[0]
    actions = [Action(name="compute", throughput=1)]
    for flag in (False, True):
        mac = Bindable(name="mac", actions=actions, support_concurrent_binding=flag)
        read = polylat.load(stand_in(arch=Arch(nodes=[memory, mac])))
        assert all(component.divisible for component in read.arch.paths["total"])
    memory = model("Memory", name=None, size=None, actions=[], support_concurrent_binding=False)(
        name="DRAM", size="inf", actions=memory.actions, support_concurrent_binding=True
    )
    read = polylat.load(stand_in(arch=Arch(nodes=[memory, Bindable(name="mac", actions=actions)])))
    assert [c.divisible for c in read.arch.paths["total"]] == [True, False]


def test_fields_of_the_branches_operations_and_adapter() -> None:
    """What an Einsum computes is no matter, but for copies; without adapters both lists agree."""
    accesses = stand_in().workload.einsums[0].tensor_accesses
    sizes = {"rank_sizes": {"K": 4}, "bits_per_value": {"All": 8}}

    def workload(*adapters: Any, **keys: Any) -> Any:
        einsum = Typed(name="total", tensor_accesses=accesses, **keys)
        listed = [*adapters, einsum]
        return Adapted(einsums=[einsum], einsums_and_adapters=listed, **sizes)

    assert polylat.load(stand_in(workload=workload(map="exp"))) == same()
    copied = polylat.load(stand_in(workload=workload(map="identity", is_copy_operation=True)))
    assert copied.workload.einsum("total").is_copy
    with pytest.raises(UnsupportedError, match=r"einsums\[0\].reduce: .* AccelForge's Einsum"):
        polylat.load(stand_in(workload=workload(reduce="max")))
    copy = Copy(name="copy_A", tensor="A")
    with pytest.raises(UnsupportedError, match=r"adapters\[0\]: 'copy_A' is an adapter of"):
        polylat.load(stand_in(workload=workload(copy)))


def test_fields_of_the_branch_latency() -> None:
    timed = model("Action", name=None, throughput=None, latency=None, latency_scale=1)
    ported = model("Memory", name=None, size=None, actions=[], separate_read_write_ports=False)
    actions = [timed(name=name, throughput=2, latency=5) for name in ("read", "write")]
    memory = ported(name="DRAM", size="inf", actions=actions, separate_read_write_ports=True)
    nodes = [memory, stand_in().arch.nodes[1]]
    read = polylat.load(stand_in(arch=Arch(nodes=nodes)))
    dram = read.arch.component("total", "DRAM")
    assert [port.name for port in dram.ports] == ["read", "write"]
    assert dram.latency == {"read": 5, "write": 5}
    assert read.readings[0].endswith("DRAM read, DRAM write.")
