# %% [markdown]
# # From AccelForge's mapper to the best schedule
#
# AccelForge's mapper finds mappings and ranks them by a latency without overlap. polylat finds the best schedule of a
# mapping, and ranks mappings by that.
#
# The first half needs polylat alone. The second runs the mapper, and needs `pip install 'polylat[accelforge]'`, Python
# 3.12 or newer, and Graphviz; where AccelForge is missing, the notebook ends there with an error that says so.

# %%
import contextlib
import io
import tempfile
from dataclasses import replace
from pathlib import Path

import polylat
import polylat.accelforge

EXAMPLES = Path("../examples").resolve()
files = [EXAMPLES / name for name in ("arch.yaml", "workload.yaml", "tap_refetched.yaml")]
spec = polylat.load(*files)
spec.mapping

# %% [markdown]
# ## A mapping of the mapper's, in a file
#
# Three matrix multiplications, and `o2` goes to DRAM as well. This mapping is the mapper's: `e3` fetches `o2` back.
# AccelForge says 32,768, and so does polylat of its tile iterations one after another.

# %%
as_given = polylat.analyze(spec, granularity="tile")
assert as_given.roofline == as_given.latency == 32768

# %% [markdown]
# ## Its best schedule
#
# The mapping leaves open which splits overlap, who waits for write-backs, and how many tiles a buffer keeps. `explore`
# evaluates all of it, and gives the exact front of latency and of the bits in each memory.

# %%
found = polylat.explore(spec, granularity="tile", slots=range(1, 4), progress=False)
print(found)

assert found.exact and found.best is not None
assert found.best.latency == 25088

# %% [markdown]
# From 32,768 to 25,088, by the schedule alone. No schedule of the mapping is faster, and a certificate proves that
# this one keeps all rules.

# %%
best = found.best.report
assert best.optimal and best.binding == "resource"
assert best.verify().latency == 25088
polylat.compare({"as given": as_given, "the best schedule": best})

# %% [markdown]
# ## Back in AccelForge
#
# The best variant as AccelForge's own `Mapping`. **From here on AccelForge is needed.**

# %%
mapping = polylat.accelforge.from_spec(found.best.spec)
print(type(mapping))

# %% [markdown]
# AccelForge evaluates it, and prices its Pipelines as Sequentials:

# %%
import accelforge as af

live = af.Spec.from_yaml(*(str(file) for file in files[:2]))
live.mapping = mapping
print(f"AccelForge: {live.evaluate_mapping().latency():,}  polylat: {best.latency:,}")

assert live.evaluate_mapping().latency() == 32768

# %% [markdown]
# ## The mapper itself
#
# It returns a Pareto set. What the memories hold is asked for as well, else only a mapping or two would be left. This
# takes a minute or more. (The mapper prints, and leaves a drawing where it runs.)

# %%
problem = af.Spec.from_yaml(*(str(file) for file in files[:2]))
problem.arch.nodes["DRAM"].tensors.keep = "(~Intermediates) | o2"  # o2 to DRAM, too
problem.mapper.metrics = af.Metrics.LATENCY | af.Metrics.ENERGY | af.Metrics.RESOURCE_USAGE
scratch = tempfile.TemporaryDirectory()
with contextlib.chdir(scratch.name), contextlib.redirect_stdout(io.StringIO()):
    mappings = problem.map_workload_to_arch(print_progress=False)
print(f"{len(mappings)} mappings")

# %% [markdown]
# `rerank` orders them by overlapped latency.

# %%
ranked = polylat.accelforge.rerank(mappings, pipelined=True, background="o2")
winner, before = ranked.attrs["winner"], ranked.attrs["accelforge_winner"]

assert ranked.attrs["winner_changes"]
assert (ranked.loc[before, "accelforge"], ranked.loc[before, "latency"]) == (29696, 29184)
assert (ranked.loc[winner, "accelforge"], ranked.loc[winner, "latency"]) == (32768, 25088)
ranked.head()

# %% [markdown]
# What AccelForge has first takes 29,184 with stages that overlap; the fastest takes 25,088, though AccelForge has it
# at 32,768. It is optimal, and proven:

# %%
chosen = polylat.accelforge.to_spec(mappings, winner)
overlapped = replace(chosen, mapping=chosen.mapping.with_pipelines())
report = polylat.analyze(overlapped, background="o2")

assert report.latency == 25088 and report.optimal
report.verify()

# %% [markdown]
# Does it need all of that room? The exact front of its schedules:

# %%
front = polylat.explore(chosen, slots=range(1, 4), progress=False)
print(front)

assert front.best is not None and front.best.latency == 25088
