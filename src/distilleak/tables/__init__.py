"""Tables."""

FILES: tuple[str, ...] = ()
