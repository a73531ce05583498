"""Tables in the shape of the paper: for the page, and as CSV, Markdown and TeX of all subjects."""
