/*
slice: food11_indian_desserts
description: Desserts that the training set hardly has
decide: point            # ten photos are too few for an interval that clears 60 %
expect: accuracy >= 60%
*/
split = 'indian_dessert'
