"""What runs as a service: REST over the Predictor, and the page that predicts in the browser."""
