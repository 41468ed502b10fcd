"""One module per CSV file, from the models' metrics and scores."""
