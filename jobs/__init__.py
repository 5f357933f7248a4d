"""Programs beside the dataflow: `python -m jobs COMMAND`."""
