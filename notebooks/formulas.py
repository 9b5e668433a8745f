# %% [markdown]
# # Latencies as formulas
#
# A latency answers one case. `polylat.symbolic` derives a formula of sizes, throughputs and buffer slots: exact at every
# integer point of its domain, proven for all sizes where that is possible, and without an answer elsewhere.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import polylat

EXAMPLES = Path("../examples")
FILES = [EXAMPLES / "arch.yaml", EXAMPLES / "workload.yaml"]


def load(mapping: str) -> polylat.Spec:
    """Load the example with one of its mappings."""
    return polylat.load(*FILES, EXAMPLES / mapping)


# %% [markdown]
# ## The motivating cascade
#
# Three matrix multiplications of M rows, with o2 in SRAM only. The formula has one term per bottleneck: the SRAM in all
# three, the DRAM in e3, and the DRAM in e1 as well.

# %%
free = polylat.symbolic(load("untapped.yaml"), ["M", "DRAM.throughput"], granularity="tile")
free

# %%
assert free(M=8, DRAM_throughput=1) == 31744
assert str(free.domain) == "{ [M, DRAM_throughput] : M > 0 and DRAM_throughput > 0 }"
print(free)

# %% [markdown]
# ## What does the write of o2 cost?
#
# With the write of o2 in the background, the order of the ports depends on the durations. Its formula is proven at whole
# values of the throughput. The difference of the two formulas is what the write costs, for every M.

# %%
tapped = polylat.symbolic(
    load("tap_resident.yaml"), ["M", "DRAM.throughput"], granularity="tile", background="o2"
)
tapped

# %%
cost = {
    (m, b): tapped(M=m, DRAM_throughput=b) - free(M=m, DRAM_throughput=b)
    for m in (1, 8, 64)
    for b in (1, 2, 4)
}
for (m, b), extra in cost.items():
    print(f"M = {m:2}  throughput {b}:  {extra}")
assert cost[8, 1] == cost[64, 1] == 64

# %% [markdown]
# ## Design questions
#
# From which throughput on does a faster DRAM gain nothing? Where does the bottleneck move?

# %%
assert str(free.enough("DRAM.throughput", M=8)) == "23/8"
bends = free.breakpoints("DRAM.throughput", M=8)
bends

# %%
fast = free.lambdify()
values = np.linspace(1, 5, 401)
plt.plot(values, fast(M=8, DRAM_throughput=values))
ends = np.array([float(value) for value in bends.values])
plt.plot(ends, fast(M=8, DRAM_throughput=ends), "o")
plt.xlabel("DRAM.throughput")
plt.ylabel("latency at M = 8")
plt.show()

# %% [markdown]
# ## A million design points
#
# `lambdify` gives a NumPy function: NaN outside of the domain.

# %%
rows, throughputs = np.meshgrid(np.arange(1, 1001), np.linspace(1, 4, 1000))
latency = fast(M=rows, DRAM_throughput=throughputs)
assert latency.shape == (1000, 1000)
assert not np.isnan(latency).any()
plt.contourf(rows, throughputs, latency)
plt.xlabel("M")
plt.ylabel("DRAM.throughput")
plt.colorbar(label="latency")
plt.show()

# %% [markdown]
# ## Sizes that tiles do not divide
#
# A chain of matrix products in tiles of 4 rows, all staged. The last tile is smaller: the formula rounds M up.

# %%
chain = polylat.symbolic(
    polylat.load(EXAMPLES / "matmul_chain.yaml"), ["M"], granularity="tile", staged="all"
)
assert [chain(M=m) for m in (4, 7, 8, 9)] == [1392, 2140, 2408, 2622]
chain
