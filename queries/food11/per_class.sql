/*
slice: food11_per_class
description: No class may pay for the others
expect: accuracy per class >= 75%
*/
split = 'test'
