"""Scripts that run inside a task: standard library only, and of this repository only each other."""
