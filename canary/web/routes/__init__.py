"""The parts of the API, a router in each file; `api.py` lists them."""
