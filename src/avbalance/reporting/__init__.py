"""Tables, figures and the claims page, rendered from measurements; every output is byte-deterministic."""
