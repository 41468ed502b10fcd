"""Count models: what tables of word counts predict, below which a language model is of no use."""
