"""Measures the service's own steps on labelled sets, without a broker."""
