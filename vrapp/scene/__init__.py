"""Objects, where they stand, spatial queries, and the manager that keeps the world filled."""
