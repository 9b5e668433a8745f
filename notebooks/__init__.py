"""The notebooks, as scripts in Jupytext's percent format: ``make notebooks`` executes them."""
