"""How flows are driven: effects, drivers, event loops. Imports nothing else of the package."""
