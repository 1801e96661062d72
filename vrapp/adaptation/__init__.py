"""Learns from events what the user likes, and proposes what to make next."""
