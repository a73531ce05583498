"""The report page: tables in the shape of the paper's, pictures, videos, curves, provenance."""
