"""Result sets shared through DVC: published whole, fetched whole or in part, checked, repaired and tidied."""
