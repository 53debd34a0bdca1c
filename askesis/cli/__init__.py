"""The command: what a person types, and what they see while a run goes on."""
