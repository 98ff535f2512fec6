"""The commands of `python -m model_export`, by what they do: make versions, show them, take them back."""
