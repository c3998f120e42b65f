"""A small message agent that knows by Configure who writes: `agent.py` is its turn; a page and terminals play SMS."""
