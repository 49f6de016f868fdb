"""Networks: built, trained, evaluated and exported. The room with torch."""
