-- part: Sequences
-- case: A box that flickers: found in the frame before and the one after, not in this one
-- ids: a3, b2
WITH counts AS (
  SELECT id, video, frame, count_objects('car', model => 'd1', min_score => 0.5) AS n FROM samples
)
SELECT id FROM counts WINDOW w AS (PARTITION BY video ORDER BY frame)
QUALIFY n = 0 AND lag(n) OVER w > 0 AND lead(n) OVER w > 0 ORDER BY id
-- case: A prediction that flips back and forth: another class than in the frames around it, which agree
-- ids: a2, b4, b5
SELECT id FROM samples WINDOW w AS (PARTITION BY video ORDER BY frame)
QUALIFY lag(m1.prediction) OVER w = lead(m1.prediction) OVER w
  AND m1.prediction <> lag(m1.prediction) OVER w ORDER BY id
-- case: Wrong between two frames that are right
-- ids: a2, b4
SELECT id FROM samples WINDOW w AS (PARTITION BY video ORDER BY frame)
QUALIFY NOT m1.correct AND lag(m1.correct) OVER w AND lead(m1.correct) OVER w ORDER BY id
-- case: How often the prediction changes in each video
-- rows: [["b", 3, 6], ["a", 2, 5]]
WITH steps AS (
  SELECT video, m1.prediction <> lag(m1.prediction) OVER (PARTITION BY video ORDER BY frame) AS flips
  FROM samples
)
SELECT video, count_if(flips) AS flips, count(*) AS frames FROM steps GROUP BY video ORDER BY flips DESC
-- case: A box that jumps by more than a third of the picture from one frame to the next
-- ids: b4
WITH boxes AS (
  SELECT id, samples.video AS video, samples.frame AS frame, cx, cy FROM d1.objects WHERE score >= 0.5
)
SELECT id FROM boxes WINDOW w AS (PARTITION BY video ORDER BY frame)
QUALIFY greatest(abs(cx - lag(cx) OVER w), abs(cy - lag(cy) OVER w)) > 0.33
-- case: Every third frame of each video, for labelling
-- ids: a1, a4, b1, b4
frame % 3 = 1 ORDER BY video, frame
