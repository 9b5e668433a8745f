# %% [markdown]
# # From AccelForge's mapper to the best schedule
#
# AccelForge's mapper finds mappings and ranks them by a latency without overlap. polylat finds the best schedule of
# each mapping, and ranks mappings by its latency.
#
# The first half needs polylat only. The second half runs the mapper, and needs `pip install 'polylat[accelforge]'`,
# Python 3.12 or newer, and Graphviz; if AccelForge is missing, the notebook ends there with an error that says so.

# %%
import contextlib
import io
import tempfile
from pathlib import Path

import polylat
import polylat.accelforge

EXAMPLES = Path("../examples").resolve()
files = [EXAMPLES / name for name in ("arch.yaml", "workload.yaml", "tap_refetched.yaml")]
spec = polylat.load(*files)
polylat.tree(spec)

# %% [markdown]
# ## A mapping from the mapper
#
# Three matrix multiplications, with `o2` written to DRAM as well. The mapper found this mapping, in which `e3`
# fetches `o2` back. AccelForge's latency is 32,768, and so is polylat's, as nothing overlaps.

# %%
as_given = polylat.analyze(spec, granularity="tile")
assert as_given.roofline == as_given.latency == 32768

# %% [markdown]
# ## Its best schedule
#
# The mapping leaves open which splits overlap, which write-backs are in the background, and how many slots a buffer
# has. `explore` evaluates all combinations, and returns the exact Pareto front of latency and peak occupancy of each
# memory.

# %%
found = polylat.explore(spec, granularity="tile", slots=range(1, 4), progress=False)
print(found)

assert found.exact and found.best is not None
assert found.best.latency == 25088

# %% [markdown]
# The latency falls from 32,768 to 25,088 through the schedule alone. No schedule of the mapping is faster, and a
# certificate proves that this schedule obeys all rules.

# %%
best = found.best.report
assert best.optimal and best.binding == "resource"
assert best.verify().latency == 25088
polylat.timelines({"as given": as_given, "best schedule": best})

# %% [markdown]
# ## Back in AccelForge
#
# The best variant as AccelForge's own `Mapping`. **From here on AccelForge is needed.**

# %%
mapping = polylat.accelforge.from_spec(found.best.spec)
print(type(mapping))

# %% [markdown]
# AccelForge evaluates it, with the same latency for a Pipeline as for a Sequential:

# %%
import accelforge as af

live = af.Spec.from_yaml(*(str(file) for file in files[:2]))
live.mapping = mapping
print(f"AccelForge: {live.evaluate_mapping().latency():,}  polylat: {best.latency:,}")

assert live.evaluate_mapping().latency() == 32768

# %% [markdown]
# ## The mapper itself
#
# The mapper returns a Pareto set. `RESOURCE_USAGE` is requested as well, as otherwise only one or two mappings would
# remain. This takes a minute or more. (The mapper prints messages, and writes a drawing to its working directory.)

# %%
problem = af.Spec.from_yaml(*(str(file) for file in files[:2]))
problem.arch.nodes["DRAM"].tensors.keep = "(~Intermediates) | o2"  # o2 to DRAM, too
problem.mapper.metrics = af.Metrics.LATENCY | af.Metrics.ENERGY | af.Metrics.RESOURCE_USAGE
scratch = tempfile.TemporaryDirectory()
with contextlib.chdir(scratch.name), contextlib.redirect_stdout(io.StringIO()):
    mappings = problem.map_workload_to_arch(print_progress=False)
print(f"{len(mappings)} mappings")

# %% [markdown]
# `rerank` sorts them by overlapped latency.

# %%
ranked = polylat.accelforge.rerank(mappings, pipelined=True)
winner, before = ranked.attrs["winner"], ranked.attrs["accelforge_winner"]

assert ranked.attrs["winner_changes"]
assert (ranked.loc[before, "accelforge"], ranked.loc[before, "latency"]) == (29696, 29184)
assert (ranked.loc[winner, "accelforge"], ranked.loc[winner, "latency"]) == (32768, 25088)
ranked.head()

# %% [markdown]
# With overlap, AccelForge's first choice takes 29,184; the fastest mapping takes 25,088, although its latency in
# AccelForge is 32,768. It is optimal, and proven:

# %%
chosen = polylat.accelforge.best(mappings, pipelined=True)
report = chosen.report

assert report.latency == 25088 and report.optimal
report.verify()

# %% [markdown]
# Does it need all of these slots? The exact Pareto front of its schedules:

# %%
front = polylat.explore(chosen.spec, slots=range(1, 4), progress=False)
print(front)

assert front.best is not None and front.best.latency == 25088

# %% [markdown]
# ## The mapper by overlapped latency
#
# `rerank` chooses among what the mapper found by its own latency. `search` lets the mapper look for mappings that are fast with
# overlap: the busy time of every port is one of its objectives. Here it finds none that is faster, and with `exhaustive`
# proves that there is none among all mappings that the mapper's partial mappings can form.

# %%
searched = polylat.accelforge.search(problem, exhaustive=True, progress=False)
print(searched.guarantee)
print(f"{searched.timed} of {len(searched.table)} mappings were timed")

assert searched.value == searched.lower_bound == 25088
assert searched.best.report.latency == 25088
