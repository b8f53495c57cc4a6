"""What our cost policy is held against: other policies in the same engine, caches before it, and hindsight."""
