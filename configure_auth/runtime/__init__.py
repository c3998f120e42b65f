"""How flows are driven: effects, drivers, verbs, event loops and forks. Imports nothing else of the package."""
