"""One file a task: where things start, what is asked, when it is done."""
