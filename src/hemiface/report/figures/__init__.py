"""Result tables -> matplotlib figures."""
