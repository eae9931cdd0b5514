"""How the small model that Hotfolder ships was made: drawn pictures, edits in words, training."""
