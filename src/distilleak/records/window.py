"""How many records are held in memory at a time, and in a shard of evidence."""

SIZE = 2048
