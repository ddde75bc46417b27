"""What integration authors test with: the simulated hospital, a clock, faults at named points, real neighbours."""
