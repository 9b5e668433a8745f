"""Reading the input: YAML or plain data, checked and evaluated.

The libraries that this needs are imported when it is first used, not with polylat.
"""
