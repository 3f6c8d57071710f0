-- part: Mistakes
-- case: Confident but wrong
-- ids: a3, c2
label <> m1.prediction AND m1.confidence > 0.9 ORDER BY m1.confidence DESC
-- case: Only just right
-- ids: c3, b3
m1.correct AND m1.margin < 0.4 ORDER BY m1.margin
-- case: The two worst samples of each class
-- ids: a2, a3, b2, b3, c2, c3
QUALIFY row_number() OVER (PARTITION BY label ORDER BY m1.loss DESC) <= 2 AND m1.loss IS NOT NULL
-- case: One confused pair
-- ids: b2
label = 'green' AND m1.prediction = 'blue'
-- case: The pairs most often confused
-- rows: [["blue", "red", 1, ["c2"]], ["green", "blue", 1, ["b2"]], ["red", "green", 1, ["a3"]]]
SELECT label, m1.prediction AS predicted, count(*) AS n, list(id ORDER BY id) AS ids
FROM samples WHERE NOT m1.correct GROUP BY ALL ORDER BY n DESC, label
-- case: The true class was the second guess
-- ids: a3, b2, c2
NOT m1.correct AND list_sort(m1.probabilities, 'DESC')[2] = m1.probabilities[label]
-- case: Likely label errors: the models agree on another label, with confidence
-- ids: b2
m1.prediction = m2.prediction AND m1.prediction <> label AND least(m1.confidence, m2.confidence) > 0.55
-- case: Samples more similar to another class than to their own
-- ids: a3
label = 'red' AND similarity('green') >= similarity('red')
-- part: Two models
-- case: Regressions: A right, B wrong
-- ids: a2, c3
m1.correct AND NOT m2.correct
-- case: Fixed by B
-- ids: a3, c2
m2.correct AND NOT m1.correct
-- case: Hard for both
-- ids: b2
NOT m1.correct AND NOT m2.correct
-- case: The models disagree, and one of them is confident
-- ids: a3, c2
m1.prediction <> m2.prediction AND greatest(m1.confidence, m2.confidence) > 0.9
-- case: The loss of B is higher by more than 1
-- ids: b2, a2, c3
m2.loss - m1.loss > 1 ORDER BY m2.loss - m1.loss DESC
-- case: Accuracy of both by label
-- rows: [["blue", 3, 0.67, 0.67], ["green", 3, 0.67, 0.5], ["red", 3, 0.67, 0.67]]
SELECT label, count(*) AS n, round(avg(m1.correct::INT), 2) AS a, round(avg(m2.correct::INT), 2) AS b
FROM samples WHERE label IS NOT NULL GROUP BY ALL ORDER BY label
-- case: Not yet predicted
-- ids: b3, d1
m2.prediction IS NULL
-- part: Duplicates and splits
-- case: Near-duplicates across splits, by perceptual hash
-- ids: a2, a3, b3
SELECT test.id, train.id AS twin FROM samples AS test JOIN samples AS train
ON test.split = 'test' AND train.split = 'train' AND bit_count(xor(test.phash, train.phash)) <= 3
-- case: The same, as a set of test samples to remove
-- ids: a2, a3, b3
split = 'test' AND EXISTS (FROM samples AS other WHERE other.split = 'train'
  AND bit_count(xor(other.phash, samples.phash)) <= 3)
-- case: Copies in another split in any orientation, mirrored and turned ones too
-- ids: a2, a3, b3
split = 'test' AND EXISTS (FROM samples AS other WHERE other.split = 'train'
  AND bit_count(xor(other.turned_phash, samples.turned_phash)) <= 3)
-- case: Neighbours of one training sample that lie in the test split
-- ids: a2
split = 'test' AND similarity(sample('a1')) > 0.9
-- case: The same image under two labels
-- ids: c1
SELECT a.id, b.id AS other FROM samples AS a JOIN samples AS b ON a.phash = b.phash AND a.label < b.label
-- case: Not assigned to a split yet
-- ids: c3, d1
split IS NULL OR split NOT IN ('train', 'validation', 'test')
-- case: A reproducible tenth, by hash of the id
-- ids: c1
hash(id) % 10 = 3
-- part: Meaning and words
-- case: What looks like one thing and is labelled another
-- ids: a3
matches('green', 0.2) AND label <> 'green'
-- case: Like these two, unlike that one
-- ids: b1, b2
ORDER BY similarity(sample('b1'), sample('b2')) - similarity('red') DESC LIMIT 2
-- case: Mentioned in the caption but not visible
-- ids: b3
search('green') IS NOT NULL AND similarity('green') < 0.8
-- case: Image and text search, blended by rank
-- ids: c1, c2
ORDER BY fuse(similarity('blue'), search('blue picture')) DESC LIMIT 2
-- case: Outliers: unlike the other samples of their label
-- ids: a3, b3, c3
QUALIFY row_number() OVER (PARTITION BY label ORDER BY
  CASE label WHEN 'red' THEN similarity('red') WHEN 'green' THEN similarity('green')
  ELSE similarity('blue') END NULLS LAST) = 1 AND label IS NOT NULL
-- part: Boxes
-- case: Small cars, at night
-- ids: a1
has_object('car', max_area => 150) AND has_tag('night')
-- case: Crowded images without a person
-- ids: a1
count_objects() >= 2 AND NOT has_object('person')
-- case: Found by A, missed by B, small or at night
-- ids: a1, a2
SELECT DISTINCT id FROM objects
WHERE d1.found AND NOT d2.found AND (area < 400 OR has_tag('night')) ORDER BY id
-- case: Predicted boxes that match no ground truth
-- ids: b1, a1
SELECT id, label, score FROM d1.objects WHERE NOT tp ORDER BY score DESC LIMIT 2
-- part: Data
-- case: Quarantined, and why
-- ids: e1
status <> 'ok'
-- case: Taken in the first week of January, on a rainy day or at night
-- ids: a1, a2
captured_at BETWEEN DATE '2024-01-01' AND DATE '2024-01-07' AND (weather = 'rainy' OR has_tag('night'))
-- case: Unusual aspect ratios
-- ids: a1, c3, d1
width / height > 4 OR height / width > 1.9
