"""Other people's agent frameworks, seen from here: their agents, tools and models, one file for each.

None of them is needed, and none is imported before one of its own objects is handed in.
"""
