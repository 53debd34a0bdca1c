"""How attempts are made."""
