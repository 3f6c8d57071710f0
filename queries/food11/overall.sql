/*
slice: food11_overall
description: The whole evaluation set
expect: accuracy >= 85%
*/
split = 'test'
