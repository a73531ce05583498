"""Pictures in, what they show out: a folder per task, each with a packaged and a reference way."""
