"""History that is fetched from venues, as jobs."""
