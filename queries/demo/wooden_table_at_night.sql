/*
slice: wooden_table_at_night
description: Found by meaning, cut at 60; no metadata is needed
*/
split = 'test' ORDER BY similarity('food on a wooden table at night') DESC LIMIT 60
