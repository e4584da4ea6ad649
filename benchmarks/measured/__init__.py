"""One module a benchmark: ``run(place) -> Result``."""
