# %% [markdown]
# # Pipelining a block of attention
#
# `Q Kᵀ`, softmax and `A V` with 32 heads, 4096 tokens and a head dimension of 128. The two matrix multiplications
# share an array of 128 × 128 units, the softmax has a vector unit of its own. What is the speedup if the three
# overlap, what limits the throughput, and how much SRAM does the overlap need?

# %%
from fractions import Fraction
from pathlib import Path

import polylat

FILES = [Path("../examples") / name for name in ("attention.yaml", "attention_schedule.yaml")]
blocks = {kind: polylat.load(*FILES, split=kind) for kind in ("Sequential", "Pipeline")}
polylat.tree(blocks["Pipeline"])

# %% [markdown]
# AccelForge's latency is the same for both; polylat's is not.

# %%
one_by_one = polylat.analyze(blocks["Sequential"])
overlapped = polylat.analyze(blocks["Pipeline"])
for name, report in (("Sequential", one_by_one), ("Pipeline", overlapped)):
    print(f"{name:10}  AccelForge {report.roofline:>12,}  polylat {report.latency:>12,}")

assert one_by_one.roofline == overlapped.roofline == 12582912
assert one_by_one.latency == 12582912 + 1024
assert overlapped.latency == 8388608 + 1024
assert overlapped.speedup == Fraction(12289, 8193)

# %% [markdown]
# ## Is that the best schedule?
#
# Nearly: the array is busy for all but 1,024 of 8,389,632 cycles, so no schedule of this mapping is faster by more than
# that. In these 1,024 cycles the keys of the first head are fetched, before which the array cannot start.

# %%
assert overlapped.binding == "resource"
assert overlapped.latency - overlapped.resource_bound == 1024
for port in overlapped.ports:
    print(f"{port.name:16} {port.busy:>12,} {float(port.utilization):>8.1%}")

first = overlapped.critical_path[0]
assert (first.einsum, first.component, first.tensor, first.duration) == ("QK", "DRAM", "K", 1024)

# %% [markdown]
# Which components does each stage have for itself, and for which do the stages contend? All stages share the array.

# %%
(pipeline,) = overlapped.contention
print(f"stages: {', '.join(pipeline.stages)}")
print(f"each has its own: {', '.join(pipeline.own)}")
print(f"they contend for: {', '.join(pipeline.shared)}")

assert pipeline.own == ("vector",)
assert "mac" in pipeline.shared

# %% [markdown]
# ## What limits the throughput
#
# The initiation interval of each loop is the time per iteration in the steady state, and its critical cycle lists the
# accesses that determine it. In the Sequential, the softmax is on the critical cycle; in the Pipeline it is not.

# %%
for report in (one_by_one, overlapped):
    for ii in report.initiation_intervals[:2]:
        print(ii)
    print()

before, after = (report.initiation_intervals[0] for report in (one_by_one, overlapped))
assert (before.interval, after.interval) == (393216, 262144)  # per head
assert "softmax" in {key[0] for key, _ in before.cycle}
assert "softmax" not in {key[0] for key, _ in after.cycle}

# %% [markdown]
# ## The timeline
#
# The beginning of the schedule: while the vector unit computes the softmax of 128 queries, the array multiplies for
# others.

# %%
overlapped.timeline(window=(0, 40960))

# %% [markdown]
# ## How much SRAM the overlap needs
#
# The stages pass tiles of scores to each other through SRAM. How many slots for these tiles are needed? `explore`
# evaluates the choices and returns the exact Pareto front of latency and peak SRAM occupancy.

# %%
found = polylat.explore(
    blocks["Pipeline"], slots={"S": [1, 2], "A": [1, 2], "K": [1], "V": [1]}, progress=False
)
print(found)

points = [(result.latency, result.peaks["SRAM"]) for result in found.front]
assert found.exact
assert points == [(8389632, 50855936), (8393728, 34078720), (12583936, 33554432)]

# %% [markdown]
# The second point is interesting: with a single slot for the output of the softmax, the latency is only 4,096 cycles
# longer (of 8 million), and SRAM usage is a third lower.
#
# ## A proof
#
# polylat visited all 66,560 tile iterations; it samples the loops of larger mappings. In either case the certificate proves
# the schedule of all tile iterations independently, with ISL.

# %%
assert (overlapped.tiles, overlapped.engine, overlapped.exact) == (66560, "explicit", True)
certificate = overlapped.verify()
assert certificate.latency == 8389632
certificate
