# %% [markdown]
# # How the model works
#
# From a mapping to ISL relations, and from these to the schedule, each printed. The example is the one of the other
# notebooks: `e1 → o1 → e2 → o2 → e3`, where `o2` is kept in SRAM and written to DRAM as well.
#
# `polylat.lowering` is internal, and may change. What it makes is shown here to say what `polylat.analyze` means;
# the schedule at the end is public.

# %%
from pathlib import Path

import islpy as isl

import polylat
from polylat.lowering import relations
from polylat.model import lower

EXAMPLES = Path("../examples")
files = ("arch.yaml", "workload.yaml", "tap_resident.yaml")
spec = polylat.load(*(EXAMPLES / file for file in files))
spec.mapping

# %% [markdown]
# ## 1. Leaves and their operations
#
# Each Compute node is a leaf. Its *domain* has a point per operation. How many of its loops make a *tile
# iteration* is the granularity: with `"tile"`, the loops above the innermost storage or split.

# %%
lowered = lower(spec, "tile")
e1, e2, e3 = lowered.leaves
for leaf, depth in zip(lowered.leaves, lowered.depths, strict=True):
    print(f"{leaf.einsum.name}, {depth} loops make a tile iteration:")
    print(f"  domain {relations.domain(leaf)}")
    print(f"  tiling {relations.tiling(leaf, depth)}")

assert lowered.depths == (1, 1, 0)
assert relations.domain(e1).count_val().to_python() == 8 * 8 * 8
for leaf, depth in zip(lowered.leaves, lowered.depths, strict=True):
    tiling = relations.tiling(leaf, depth)  # every operation is in one tile iteration
    assert tiling.range() == relations.domain(leaf)
    assert tiling.is_injective()

# %% [markdown]
# ## 2. What they touch
#
# The *access* relation says which element an operation needs. The *footprint* is what a tile iteration touches: tiling,
# then access.

# %%
for leaf, depth in ((e1, 1), (e2, 1), (e3, 0)):
    for tensor in leaf.einsum.tensors:
        print(f"access    {relations.access(leaf, tensor)}")
        print(f"footprint {relations.footprint(leaf, tensor, depth)}\n")

row = relations.footprint(e2, "o2", 1)
assert row == isl.Map("{ e2_tile[i] -> o2[i, j] : 0 <= i < 8 and 0 <= j < 8 }")

# %% [markdown]
# Footprints, counted, are the accesses' sizes: a tile iteration of `e2` writes 8 elements of `o2`, of 8 bits each, to
# DRAM; 8 of them write 512 bits. Reads at the leaf are one per operation.

# %%
report = polylat.analyze(spec, granularity="tile", background="o2")
elements = row.wrap().count_val().to_python()
operations = relations.domain(e1).count_val().to_python()

assert report.accesses["e2", "DRAM", "o2", "write"] == elements * 8 == 512
assert report.accesses["e1", "DRAM", "w1", "read"] == operations * 8 == 4096
assert report.accesses["e1", "mac", None, "compute"] == operations == 512

# %% [markdown]
# ## 3. What waits for what
#
# *Flow*: two tile iterations that touch the same element, of which the first brings it. Never by the names of
# loops; ISL joins the footprints. `e2` needs the same row of `o1`, and `e3`, which is a single tile iteration, all of
# `o2`.

# %%
o1 = relations.flow(e2, e1, "o1", 0, (1, 1))
o2 = relations.flow(e3, e2, "o2", 1, (1, 0))  # 1: in SRAM, the second that holds it
print(o1, o2, sep="\n")

assert o1 == isl.Map("{ e1_tile[i] -> e2_tile[i] : 0 <= i < 8 }")
assert o2 == isl.Map("{ e2_tile[i] -> e3_tile[] : 0 <= i < 8 }")

# %% [markdown]
# *Dates* say in which order the mapping's tree runs them: per split the loops above it, then the branch. They are
# compared from left to right.

# %%
for leaf, depth in zip(lowered.leaves, lowered.depths, strict=True):
    print(f"{relations.dates(leaf, depth)}  {relations.date_tags(leaf, depth)}")

before = relations.dates(e1, 1).lex_lt_map(relations.dates(e2, 1))
assert o1.is_subset(before)  # what brings is dated before what needs it

# %% [markdown]
# ## 4. The schedule
#
# Every access, as early as the rules and its port allow. The result is a relation again: access of a tile iteration →
# when it starts. It says all that there is to know, and its size does not depend on trip counts.

# %%
schedule = report.schedule()
assert report.time_scale == 1  # its steps are the unit of time
pieces: list[isl.Map] = []
schedule.foreach_map(pieces.append)
print(*sorted(map(str, pieces)), sep="\n")

# %% [markdown]
# It can be asked. When does the last write of `o2` to DRAM start, and when does `e3` compute?


# %%
def starts(access: str) -> isl.Set:
    """When an access starts, of all tile iterations."""
    (found,) = (piece for piece in pieces if piece.get_tuple_name(isl.dim_type.in_) == access)
    return found.range()


def largest(times: isl.Set) -> int:
    """The last of some times."""
    return int(times.dim_max_val(0).to_python())


last_write = largest(starts("e2_DRAM_o2_write")) + 64
e3_computes = largest(starts("e3_mac_compute"))
print(f"the last write ends at {last_write:,}, and e3 computes from {e3_computes:,} on")

assert (last_write, e3_computes) == (19072, 19968)

# %% [markdown]
# The latency is the last start and its duration: `e3` writes `o3`, 4,096 bits of it, at a bit per unit of time.

# %%
final = largest(starts("e3_DRAM_o3_write"))
duration = report.accesses["e3", "DRAM", "o3", "write"]
print(f"{final:,} + {duration:,} = {final + duration:,}")

assert final + duration == report.latency == 31744

# %% [markdown]
# ## 5. Looking at it
#
# The same as a picture: the relation's pieces are the bars.

# %%
report.timeline()
