"""An emulated vLLM, so that everything around an engine can be tried without a GPU.

It speaks the OpenAI API and exports vLLM's metrics, and it is as slow as a profile says: every
iteration is scheduled and timed by `presage_policies.engine`, the same model that the router bids
with. A real vLLM can take its place.
"""
