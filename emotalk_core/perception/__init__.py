"""Pictures in, what they show out: one folder per task, each with a packaged and a reference way."""
