"""The cluster on real Redis servers."""
