"""The wiring: the only floor that knows every other. ``cli`` parses, ``world`` builds, ``loop`` runs."""
