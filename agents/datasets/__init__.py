"""What is done with datasets from the command line: brought in, given out, chosen from and looked at."""
