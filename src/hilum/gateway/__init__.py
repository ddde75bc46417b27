"""The door for programs: routes made from the estate's APIs, each request led through the same stages in the same order."""
