"""One module per figure, from tables to a drawing; nothing is computed here."""
