"""Files of data sets: where they lie, who published them, how they are fetched and read with bounds."""
