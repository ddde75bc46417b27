"""From bytes to business effect: intake, dispatch, flows, deliveries, the work queue, replay."""
