"""What a router in the path costs: direct, Presage's sidecar and a Rust router in one run."""
