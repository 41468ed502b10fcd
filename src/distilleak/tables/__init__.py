"""The tables of a study, each from the models' metrics and scores in a module of its own."""
