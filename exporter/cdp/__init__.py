"""The CDP's HTTP interfaces."""
