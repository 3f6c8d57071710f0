/*
slice: food11_plastic_fork
description: Food beside a plastic fork, as at a street stall
decide: point
expect: accuracy >= 60%
*/
split = 'templates' AND id LIKE '%+plastic_fork'
