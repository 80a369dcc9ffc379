"""The processes of traders: started, adopted, watched over and ended as is wanted."""
