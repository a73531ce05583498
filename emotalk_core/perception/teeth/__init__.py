"""Teeth inside the open mouth by colour."""
