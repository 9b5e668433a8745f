"""Random mappings some of whose fills are served ahead of other blocks, in a skewed order."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from builders import LEGAL, RECURRENT_LEGAL, Data, stretched
from disagreeing import give_first_tiles
from polylat import MappingError, Spec
from polylat.engine.model import Model, build
from polylat.lowering.lowered import lower
from polylat.schedule.arrays import Ints
from polylat.schedule.graph import TaskGraph
from reports import transfers
from strategies import holders

MOST = 400
"""Largest number of tile iterations."""


@st.composite
def models_with_hosts(draw: st.DrawFn, factors: Sequence[int] = (2, 3)) -> Model:
    """A mapping with all its tile iterations, some of whose fills are served ahead of others.

    Some ranks are larger than those of a known cascade, by these factors, and perhaps a little
    more: then their last tiles are smaller. First tiles may differ, too.
    """
    case = draw(st.sampled_from(draw(st.sampled_from((LEGAL, RECURRENT_LEGAL)))))
    variables = sorted(case["spec"]["workload"]["iteration_space_shape"])
    longer = draw(st.lists(st.sampled_from(variables), max_size=2, unique=True))
    larger = {v: draw(st.sampled_from(factors)) for v in longer}
    data: Data = stretched(case["spec"], larger, draw(st.sampled_from((0, 1, 2))))
    if draw(st.integers(0, 3)) == 3:
        space = data["workload"]["iteration_space_shape"]
        sizes = {name: int(text.split("<")[-1]) for name, text in space.items()}
        chance = random.Random(draw(st.integers(0, 2**32)))
        give_first_tiles(data["mapping"]["nodes"], sizes, chance)
    held = holders(data)
    assume(held)
    staged = draw(
        st.one_of(st.just("all"), st.lists(st.sampled_from(held), min_size=1, unique=True))
    )
    try:
        input_spec = Spec.from_dict(data)
        options = transfers(input_spec, staged=staged, slots=draw(st.sampled_from((2, 3, None))))
        lowered = lower(input_spec, draw(st.sampled_from(("tile", "flow", "full"))), options)
        assume(lowered.size <= MOST)
        model = build(lowered, options)
    except MappingError:
        assume(False)
        raise
    assume(model.graph.overtaking)
    return model


def places_on_ports(graph: TaskGraph, *, background_last: bool = False) -> Ints:
    """The places of tasks in the skewed order, port by port: of any two on a port, which is first.

    Or those in the order in which an idle port prefers them.
    """
    order, _ = graph.port_order(skewed=True)
    if background_last:
        order = graph.background_last(order)
    place = np.empty(graph.tasks, dtype=np.int64)
    place[order] = np.arange(graph.tasks)
    return place
