"""Who a face belongs to: embeddings whose distance says whether two faces are one person."""
