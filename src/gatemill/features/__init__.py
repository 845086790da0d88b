"""What is known of users and other entities at the time of a request. Rule: what was used is logged with the request."""
