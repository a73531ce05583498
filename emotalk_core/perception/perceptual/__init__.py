"""How different two pictures look to people."""
