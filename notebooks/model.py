# %% [markdown]
# # How the model works
#
# This notebook goes from a mapping to ISL relations, and from these to the schedule. The example is that of the other
# notebooks: `e1 → o1 → e2 → o2 → e3`, where `o2` is kept in SRAM and written to DRAM as well.
#
# The relations of sections 1 to 3 are written out by hand here. `polylat.analyze` derives the same relations from the
# mapping; the notebook checks them against its report. The schedule of section 4 is part of the report.

# %%
from pathlib import Path

import islpy as isl

import polylat

EXAMPLES = Path("../examples")
files = ("arch.yaml", "workload.yaml", "tap_resident.yaml")
spec = polylat.load(*(EXAMPLES / file for file in files))
polylat.tree(spec)

# %% [markdown]
# ## 1. Operations and tile iterations
#
# Each Compute node is a leaf. Its *domain* is the set of its operations, one integer point each. Its outer loops
# distinguish *tile iterations*; the granularity selects these loops. With `"tile"`, they are the loops above the
# innermost storage or split: the loop over `m` for `e1` and `e2`, and none for `e3`, which is a single tile iteration.
# The *tiling* maps a tile iteration to its operations.

# %%
domains = {
    "e1": isl.Set("{ e1[m, n0, n1] : 0 <= m, n0, n1 < 8 }"),
    "e2": isl.Set("{ e2[m, n1, n2] : 0 <= m, n1, n2 < 8 }"),
    "e3": isl.Set("{ e3[m, n2, n3] : 0 <= m, n2, n3 < 8 }"),
}
tilings = {
    "e1": isl.Map("{ e1_tile[m] -> e1[m, n0, n1] : 0 <= m, n0, n1 < 8 }"),
    "e2": isl.Map("{ e2_tile[m] -> e2[m, n1, n2] : 0 <= m, n1, n2 < 8 }"),
    "e3": isl.Map("{ e3_tile[] -> e3[m, n2, n3] : 0 <= m, n2, n3 < 8 }"),
}


def count(points: isl.Set) -> int:
    """Return the number of points of a set."""
    return int(points.count_val().to_python())


for name, tiling in tilings.items():
    print(tiling)
    assert tiling.range() == domains[name]  # every operation is in a tile iteration,
    assert tiling.is_injective()  # and in one only

report = polylat.analyze(spec, granularity="tile", background="o2")
assert report.tiles == sum(count(tiling.domain()) for tiling in tilings.values()) == 17

# %% [markdown]
# ## 2. Accesses and footprints
#
# The *access relation* maps an operation to the element that it accesses. The *footprint* of a tile iteration is the
# set of elements that it touches: the composition of tiling and access relation.

# %%
accesses = {
    ("e1", "o1"): isl.Map("{ e1[m, n0, n1] -> o1[m, n1] }"),
    ("e2", "o1"): isl.Map("{ e2[m, n1, n2] -> o1[m, n1] }"),
    ("e2", "o2"): isl.Map("{ e2[m, n1, n2] -> o2[m, n2] }"),
    ("e3", "o2"): isl.Map("{ e3[m, n2, n3] -> o2[m, n2] }"),
}
footprints = {
    (einsum, tensor): tilings[einsum].apply_range(access)
    for (einsum, tensor), access in accesses.items()
}
for footprint in footprints.values():
    print(footprint)

row = footprints["e2", "o2"]
assert row == isl.Map("{ e2_tile[m] -> o2[m, n2] : 0 <= m, n2 < 8 }")

# %% [markdown]
# The size of an access is the number of elements of the footprint: a tile iteration of `e2` writes 8 elements of `o2`,
# of 8 bits each, to DRAM; the 8 tile iterations write 512 bits. At the leaf, each operation reads each operand once.

# %%
elements, operations = count(row.wrap()), count(domains["e1"])

assert report.accesses["e2", "DRAM", "o2", "write"] == elements * 8 == 512
assert report.accesses["e1", "DRAM", "w1", "read"] == operations * 8 == 4096
assert report.accesses["e1", "mac", None, "compute"] == operations == 512

# %% [markdown]
# ## 3. Dependences
#
# There is a *flow* dependence between two tile iterations if the first one produces or fetches an element that the
# second one reads. It is the composition of one footprint with the inverse of another, so it does not depend on the
# names of loops. `e2` needs the same row of `o1`; `e3` needs all of `o2`.

# %%
flows = {
    tensor: footprints[producer, tensor].apply_range(footprints[consumer, tensor].reverse())
    for producer, tensor, consumer in (("e1", "o1", "e2"), ("e2", "o2", "e3"))
}
print(*flows.values(), sep="\n")

assert flows["o1"] == isl.Map("{ e1_tile[m] -> e2_tile[m] : 0 <= m < 8 }")
assert flows["o2"] == isl.Map("{ e2_tile[m] -> e3_tile[] : 0 <= m < 8 }")

# %% [markdown]
# *Dates* give the order in which the mapping's tree executes tile iterations: for each split the index of the loops
# above it, then the number of the branch. They are compared lexicographically. Here, the top split has no loops above
# it, and the inner split is below the loop over `m`. A mapping is only legal if every dependence goes forward.

# %%
dates = isl.UnionMap(
    "{ e1_tile[m] -> [0, 0, m, 0]; e2_tile[m] -> [0, 0, m, 1]; e3_tile[] -> [0, 1, 0, 0] }"
)
before = dates.lex_lt_union_map(dates)
assert all(isl.UnionMap.from_map(flow).is_subset(before) for flow in flows.values())

# %% [markdown]
# ## 4. The schedule
#
# Every access starts as early as the precedences and its port allow. The result is the *schedule relation*: access of
# a tile iteration → start time. It contains the complete schedule, and its size does not depend on trip counts.

# %%
schedule = report.schedule()
assert report.time_scale == 1  # one step is one unit of time
pieces: list[isl.Map] = []
schedule.foreach_map(pieces.append)
print(*sorted(map(str, pieces)), sep="\n")

# %% [markdown]
# ISL can answer questions about it. When does the last write of `o2` to DRAM finish, and when does `e3` start to
# compute?


# %%
def starts(access: str) -> isl.Set:
    """Return the start times of an access in all tile iterations."""
    (found,) = (piece for piece in pieces if piece.get_tuple_name(isl.dim_type.in_) == access)
    return found.range()


def largest(times: isl.Set) -> int:
    """Return the largest of a set of times."""
    return int(times.dim_max_val(0).to_python())


last_write = largest(starts("e2_DRAM_o2_write")) + 64
e3_computes = largest(starts("e3_mac_compute"))
print(f"the last write finishes at {last_write:,}, and e3 starts to compute at {e3_computes:,}")

assert (last_write, e3_computes) == (31808, 19968)

# %% [markdown]
# `e3` starts when `e2` has finished, long before the write of the last row of `o2`, which is in the background: DRAM
# serves `e3` first. In every row the write starts after the row has been computed (*causality*):

# %%
computed = largest(starts("e2_SRAM_o2_write")) + 512
written = largest(starts("e2_SRAM_o2_read_2"))  # the read of SRAM for the write-back
print(f"the last row of o2 is computed at {computed:,}, and leaves SRAM from {written:,} on")

assert computed == e3_computes <= written

# %% [markdown]
# The latency is the last start time plus its duration: that write has 64 bits, and takes one unit of time for each.

# %%
final = largest(starts("e2_DRAM_o2_write"))
print(f"{final:,} + 64 = {final + 64:,}")

assert final + 64 == report.latency == 31808

# %% [markdown]
# ## 5. The timeline
#
# The same schedule as a picture: the pieces of the relation are the bars.

# %%
report.timeline()
