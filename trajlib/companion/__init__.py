"""What only the book needs: the ledger of claims, the golden runs, the data that travel with it, the panels of its chapters."""
