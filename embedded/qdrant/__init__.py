"""Qdrant Edge behind Qdrant's own REST API: the small size's vector store, a process of its own.

Unmodified `qdrant-client` code runs on it as on a Qdrant server. `python -m embedded.qdrant --help` says how to
start it. What it offers is held by `tests/contract/test_qdrant_rest.py`, which runs on a server as well; a route or
a condition that it does not offer answers 501 and says so.

Large indexes. Nothing here ever calls the engine's `optimize()`: it holds Python's global lock while it builds a
graph (26 s for 20,000 vectors), and the whole server would stand still. So every search is an exact scan: complete
results, and a cost that grows with the index: `benchmarks/README.md` has it, under Scale. Index hints (`hnsw_config`,
`quantization_config`, `optimizers_config`, search `params` such as `hnsw_ef`) are accepted and shown, and change
nothing. A site that outgrows the scan moves to a Qdrant server; its code does not change.

Durability. The engine's write-ahead log keeps every acknowledged write through `kill -9`. Power loss is another
matter: see `embedded.qdrant.flusher`.
"""
