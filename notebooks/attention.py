# %% [markdown]
# # Pipelining a block of attention
#
# `Q Kᵀ`, softmax and `A V` with 32 heads, 4096 tokens and a head dimension of 128. The two matrix multiplications
# share an array of 128 × 128 units, the softmax has a vector unit of its own. What does it gain to let the three
# overlap, what sets the pace, and what does it cost in SRAM?

# %%
from fractions import Fraction
from pathlib import Path

import polylat

FILE = Path("../examples/attention.yaml")
blocks = {kind: polylat.load(FILE, split=kind) for kind in ("Sequential", "Pipeline")}
blocks["Pipeline"].mapping

# %% [markdown]
# AccelForge prices both alike; the dependences do not.

# %%
one_by_one = polylat.analyze(blocks["Sequential"])
overlapped = polylat.analyze(blocks["Pipeline"])
for name, report in (("Sequential", one_by_one), ("Pipeline", overlapped)):
    print(f"{name:10}  AccelForge {report.roofline:>12,}  polylat {report.latency:>12,}")

assert one_by_one.roofline == overlapped.roofline == 12582912
assert one_by_one.latency == 12582912
assert overlapped.latency == 8388608
assert overlapped.speedup == Fraction(3, 2)

# %% [markdown]
# ## Is that the best?
#
# Yes: the array is busy from the first to the last cycle, so no schedule of this mapping is faster.

# %%
assert overlapped.optimal and overlapped.binding == "resource"
for port in overlapped.ports:
    print(f"{port.name:16} {port.busy:>12,} {float(port.utilization):>8.1%}")

busiest = max(overlapped.ports, key=lambda port: port.busy)
assert busiest.name == "mac" and busiest.utilization == 1

# %% [markdown]
# Which stages have units of their own, and what do they contend for? The array is one; the pipeline shares it.

# %%
(pipeline,) = overlapped.contention
print(f"stages: {', '.join(pipeline.stages)}")
print(f"each has its own: {', '.join(pipeline.own)}")
print(f"they contend for: {', '.join(pipeline.shared)}")

assert pipeline.own == ("vector",)
assert "mac" in pipeline.shared

# %% [markdown]
# ## What sets the pace
#
# What one more iteration of each loop takes, and the accesses on the cycle that says so. Sequentially, the softmax
# is on it; in the pipeline it is not.

# %%
for report in (one_by_one, overlapped):
    for pace in report.initiation_interval[:2]:
        print(pace)
    print()

before, after = (report.initiation_interval[0] for report in (one_by_one, overlapped))
assert (before.interval, after.interval) == (393216, 262144)  # per head
assert "softmax" in {key[0] for key, _ in before.cycle}
assert "softmax" not in {key[0] for key, _ in after.cycle}

# %% [markdown]
# ## The picture
#
# A beginning of it: while the softmax is at 128 queries, the array multiplies for others.

# %%
overlapped.timeline(window=(0, 40960))

# %% [markdown]
# ## What it costs
#
# The stages hand tiles of scores to each other. How many of them need SRAM at once? `explore` evaluates
# the choices and gives the exact front of latency and of the bits that SRAM holds at most.

# %%
found = polylat.explore(
    blocks["Pipeline"], slots={"S": [1, 2], "A": [1, 2], "K": [1], "V": [1]}, progress=False
)
print(found)

points = [(result.latency, result.peaks["SRAM"]) for result in found.front]
assert found.exact
assert points == [(8388608, 50855936), (8392704, 33816576), (12582912, 33554432)]

# %% [markdown]
# The second is worth a look: with a single tile for what the softmax makes, it loses 4,096 cycles of 8 million, and
# needs a third less SRAM.
#
# ## A proof
#
# 66,560 tile iterations, of which polylat looked at some. ISL checks the schedule of all of them.

# %%
assert (overlapped.tiles, overlapped.engine, overlapped.exact) == (66560, "periodic", True)
certificate = overlapped.verify()
assert certificate.latency == 8388608
certificate
