"""The frame of the report's page: its words and its looks."""

STYLE = """
:root { color-scheme: light dark; --paper:#fff; --ink:#1c1e22; --soft:#5f6570; --line:#d9dce2; --wash:#f5f6f8;
  --control:#b84a26; --photometric:#12789c; --full:#557d25; --better:#1b7a3d; --worse:#b3261e; }
@media (prefers-color-scheme: dark) { :root { --paper:#15171b; --ink:#e6e8ec; --soft:#9aa1ad; --line:#31353d;
  --wash:#1d2026; --control:#e88560; --photometric:#52b4d8; --full:#9cc463; --better:#6fce8f; --worse:#f08a80; } }
* { box-sizing:border-box; }
body { margin:0; background:var(--paper); color:var(--ink);
  font:15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width:1240px; margin:0 auto; padding:44px 28px 64px; }
h1 { font-size:30px; line-height:1.2; margin:0 0 4px; letter-spacing:-.015em; }
h2 { font-size:19px; margin:46px 0 10px; padding-top:14px; border-top:1px solid var(--line); }
h3 { font-size:15px; margin:0 0 8px; } h3 span { font-weight:400; color:var(--soft); margin-left:6px; }
p { max-width:88ch; margin:0 0 12px; } .lead { color:var(--soft); font-size:16px; }
code { font:13.5px ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
dl { display:flex; flex-wrap:wrap; gap:10px 30px; margin:20px 0 0; padding:14px 18px; background:var(--wash);
  border-radius:8px; }
dt { font-size:12px; color:var(--soft); } dd { margin:0; font-weight:600; font-variant-numeric:tabular-nums; }
.wide { overflow-x:auto; }
table { border-collapse:collapse; font-variant-numeric:tabular-nums; width:100%; font-size:14.5px; }
th, td { padding:6px 12px; text-align:right; white-space:nowrap; } thead th { font-weight:600; border:0; }
thead tr:last-child th { border-bottom:1.5px solid var(--ink); font-size:13.5px; }
thead tr:first-child th { border-top:1.5px solid var(--ink); }
tbody tr:last-child > * { border-bottom:1.5px solid var(--ink); }
tbody tr:nth-child(2n) > * { border-bottom:1px solid var(--line); }
th[scope=row], thead tr:first-child th:first-child { text-align:left; font-weight:500; }
thead th[rowspan] { vertical-align:bottom; border-bottom:1.5px solid var(--ink) !important; } sub { line-height:0; }
th.group { text-align:center; } th.group small { font-weight:400; color:var(--soft); }
.first { padding-left:34px; } .unit { color:var(--soft); } .best { font-weight:700; }
.change.better { color:var(--better); } .change.worse { color:var(--worse); }
.arm.control { color:var(--control); } .arm.photometric { color:var(--photometric); } .arm.full { color:var(--full); }
.chart svg { width:100%; height:auto; display:block; font-family:inherit; }
.caption, figcaption, .side { color:var(--soft); font-size:13px; line-height:1.45; }
.caption { max-width:104ch; margin-top:8px; }
.frame { margin:0 0 34px; }
.grid { display:grid; grid-template-columns:repeat(4, minmax(0, 1fr)); gap:8px 10px; align-items:start; }
figure { margin:0; } img { display:block; width:100%; height:auto; border-radius:3px; }
figcaption { display:flex; flex-wrap:wrap; justify-content:space-between; gap:0 8px; padding-top:3px; }
figcaption b { font-weight:600; } .note { font-variant-numeric:tabular-nums; font-size:12.5px; }
.side { align-self:center; padding:0 14px 0 4px; } .side b { color:var(--ink); }
.scale { margin-top:12px; } .scale div { height:12px; border-radius:2px; }
.scale p { display:flex; justify-content:space-between; margin:2px 0 0; font-variant-numeric:tabular-nums; }
.key { display:inline-block; width:11px; height:11px; border-radius:2px; margin:0 4px 0 0; vertical-align:-1px; }
@media print { .frame { break-inside:avoid; } }
"""

PAGE = (
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>warpgrasp: demo report, seed $seed</title>
<style>"""
    + STYLE
    + """</style>
</head>
<body>
<main>
<h1>Hands and objects from a few annotated frames</h1>
<p class="lead">What photometric consistency between frames adds, beside a control that differs in it alone.</p>
<dl>$facts</dl>

<h2>Protocol</h2>
<p>$protocol</p>

<h2>Scores</h2>
<div class="wide">$table</div>
<p class="caption">Mean over frames; lower is better. <em>Change</em> is photometric against control; the better of
these two is bold.$full_note</p>

<h2>Error against the distance to the nearest annotated frame</h2>
<div class="chart">$distance_chart</div>
<p class="caption">Never-annotated frames of the training sequences. Lines: mean over the frames at that distance,
before and after the label, in all sequences. Bands: the middle half of these frames.</p>

<h2>Frames</h2>
<p>Which frames are shown is decided by a rule that looks at no prediction. $rule</p>
<p class="caption">Overlays are drawn by the camera of the picture, at twice its size:
<span class="key" style="background:#fa9e42"></span>hand,
<span class="key" style="background:#458ff5"></span>object; the white line is the true silhouette of both together.
The warped frame is the input, sampled where the surface that is annotated in the reference lies in it, according to the
column’s reconstruction of the input. It is shown where the photometric term compares it (seen in both frames, and
returning to within 2 px), at the size of the pictures on disk; the arms agree with what is filmed where it looks like
the reference. The last column uses the true surfaces: what remains there is light, noise and resampling.</p>
$comparisons

<h2>Training curves</h2>
<div class="chart">$curves</div>
<p class="caption">Logged every ten steps, on the batch of that step: faint, each value; strong, the running mean of
seven. Supervised terms are those of the annotated batch. The photometric arm’s weighted total contains its photometric
term. The control’s λ<sub>c</sub> is 0 throughout.</p>
</main>
</body>
</html>
"""
)
