"""How a run came to be: its record, and how to make exactly this run again."""
