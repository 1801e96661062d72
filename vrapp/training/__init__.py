"""Model files → grids → trained networks → weights, and how good those are."""
