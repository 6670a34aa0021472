<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Reader study: scores · fusionprep</title>
<style>
{% include 'report.css' %}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.grid{width:auto}.grid th.number{text-align:right}.wide .grid{min-width:0}.grid tbody th{background:none}
.plots{display:flex;flex-wrap:wrap;gap:8px 40px}.plots figure{margin:8px 0;flex:1 1 460px;max-width:640px;min-width:0}
figcaption{color:var(--soft);font-size:15px}
svg{display:block;width:100%;height:auto;fill:none;stroke-width:2}
svg text{fill:var(--ink);stroke:none;font-size:13px}svg .tick{fill:var(--soft);font-size:12px;text-anchor:middle}svg .tick.end{text-anchor:end}
.grid-line{stroke:#e3e7eb;stroke-width:1}.chance{stroke:#59636d;stroke-width:1.5;stroke-dasharray:4 4}
svg .reader{fill:#fff;stroke-width:1.5}
.legend{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:4px 20px}.legend li{display:flex;gap:8px;align-items:center}
.swatch{width:40px;flex:none}.lroc{max-width:460px}
</style>
</head>
<body>
<header class="top"><strong>Reader study · fusionprep</strong>
<nav aria-label="Sections">{% for section in sections %}<a href="#{{ section.task }}">{{ section.title }}</a> &nbsp; {% endfor %}<a href="#how">How it was worked out</a></nav>
</header>
<main>
<h1>Reader study: scores</h1>
<table class="facts">
<tr><th scope="row">Readers</th><td>{{ scores.readers|length }}: {{ scores.readers|join(', ') }}</td></tr>
<tr><th scope="row">Images</th><td>{{ images }}, half of them with a lesion, each in {{ titles|length }} conditions: {{ titles|join(', ') }}</td></tr>
<tr><th scope="row">Lesions</th><td>{{ lesions }}</td></tr>
<tr><th scope="row">Intervals</th><td>95%. {{ scores.holds_for() }}</td></tr>
</table>
<p class="note">All figures: <a href="scores.tsv">scores.tsv</a>, <a href="scores.json">scores.json</a>.</p>
{% for section in sections %}
<section id="{{ section.task }}">
<h2>{{ section.title }}</h2>
{% if section.curves %}
<div class="plots">
<figure class="lroc"><figcaption>Localisation ROC, all readers together: lesions found (up) against images without a lesion that were marked (right), at each rating</figcaption>{{ section.curves }}
<ul class="legend">{% for title in titles %}<li>{{ loop.index0|swatch }}{{ title }}</li>{% endfor %}</ul></figure>
</div>
{% endif %}
{% for measure in section.measures %}
<h3>{{ measure.title|capitalize if not measure.title.startswith('area') else 'Area under the LROC' }}</h3>
<p class="note">{{ measure.better|capitalize }} is better.{% if measure.chance is not none %} Guessing gives {{ '%.2f'|format(measure.chance) }}, the dashed line.{% endif %}{% if measure.ratio %} Geometric means.{% endif %} Mean of the readers with its interval; each reader is a small circle.</p>
<div class="plots">
<figure>{{ measure.plot }}</figure>
</div>
<div class="wide" tabindex="0" role="region" aria-label="{{ measure.title }}">
<table class="grid">
<thead><tr><th>Condition</th><th class="number">All readers</th>{% for reader in scores.readers %}<th class="number">{{ reader }}</th>{% endfor %}{% if measure.expected %}<th class="number">Model observer</th>{% endif %}</tr></thead>
<tbody>
{% for row in measure.rows %}
<tr><th scope="row">{{ row.title }}</th><td class="number">{{ row.value }}</td>{% for value in row.readers %}<td class="number">{{ value }}</td>{% endfor %}{% if measure.expected %}<td class="number">{{ row.expected }}</td>{% endif %}</tr>
{% endfor %}
</tbody>
</table>
</div>
<div class="wide" tabindex="0" role="region" aria-label="Comparison: {{ measure.title }}">
<table class="grid">
<thead><tr><th>{{ 'Ratio' if measure.ratio else 'Difference' }}</th><th class="number">All readers</th><th>Its interval</th></tr></thead>
<tbody>
{% for row in measure.differences %}
<tr><th scope="row">{{ row.first }} {{ ':' if measure.ratio else '−' }} {{ row.second }}</th><td class="number">{% if row.decided %}<strong>{{ row.value }}</strong>{% else %}{{ row.value }}{% endif %}</td><td>{{ 'excludes' if row.decided else 'includes' if '[' in row.value else 'unknown: nothing varies;' }} {{ '1' if measure.ratio else '0' }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
{% endfor %}
{% if section.agreement %}
<h3>Agreement of readers</h3>
<p class="note">1 is full agreement, 0 that of chance. Intervals are for the same readers and other images.</p>
<div class="wide" tabindex="0" role="region" aria-label="Agreement: {{ section.title }}">
<table class="grid">
<thead><tr><th>Measure</th>{% for title in titles %}<th class="number">{{ title }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in section.agreement %}
<tr><th scope="row">{{ row.title }}</th>{% for cell in row.cells %}<td class="number">{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table>
</div>
{% endif %}
</section>
{% endfor %}
<section id="how">
<h2>How it was worked out</h2>
<p>Every reader saw every image in every condition. A difference is paired: of the same images and readers. Intervals are those of Obuchowski and Rockette, with Hillis’s degrees of freedom: readers vary as they do here, and what they have in common by the jackknife over {{ 'patients' if 'other patients' in scores.holds_for() else 'slices' }}. Shares and areas have Wilson’s interval of the sample size that this variance amounts to. They are not corrected for the number of comparisons: name beforehand the one that counts.</p>
<p>The area under the localisation ROC is the probability that a lesion is found, and rated above an image without one (Popescu 2007; a tie counts half). “No lesion” is the lowest rating, without a place.</p>
<p>Kappa is Cohen’s, the mean over pairs of readers (Light 1971); the intraclass correlation is ICC(2,1) of Shrout and Fleiss (1979); both with bootstrap intervals.</p>
<p>The model observer is a channelised Hotelling observer who knows where a lesion may be. It reads the same pictures, and is no reader: compare the order of conditions with it, not the figures.</p>
<p>What this cannot say: how readers do with real lesions, with a whole volume to scroll through, or in the hurry of a department. Intervals over slices of {{ 'fewer than ' ~ fewest_patients }} patients say nothing about other patients. Lesions come in half of the images, more often than in practice.</p>
</section>
</main>
</body>
</html>
