"""Pure functions on arrays and images; no Nipype, no pybids."""
