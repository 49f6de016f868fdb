"""Result tables -> sentences and small tables, which never say more than the numbers do."""
