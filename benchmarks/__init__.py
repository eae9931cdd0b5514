"""What Hotfolder costs, measured; the results stand in results/."""
