<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Reader study</title>
<style>
{{ style }}
</style>
</head>
<body style="--width:{{ page.width }};--height:{{ page.height }};--panels:{{ page.panels }}">
<main>
<noscript><p>This page needs JavaScript; nothing is sent anywhere.</p></noscript>
<section id="start" hidden>
<h1 tabindex="-1">Reader study</h1>
<p>You will look for small lesions in slices of the brain, made of {{ modality.full_name }} ({{ modality.label }}) and MRI of the same head. There are <span id="many"></span> questions. You can stop at any time: answers are kept in this browser, and nothing is sent anywhere.</p>
<h2>What to look for</h2>
<p>A round, blurred spot, {{ 'darker' if page.dark else 'brighter' }} than its surroundings or of another colour, in either of the two images. Half of the images have one, the others none. It is about as large as the circles below, in which there is one each. The people may have diseases of their own: they do not count.</p>
<ul id="examples" aria-label="Examples"></ul>
{% if page.turned %}
<p>The patient’s right is on the left of each image, where the letter R is.</p>
{% endif %}
{% if keys %}
<h2>Colours</h2>
<p>Where both images are shown in one, in colour: further right, there is more in the {{ modality.label }}; further up, the MRI is brighter.</p>
<ul id="keys">
{% for key in keys %}
<li><img src="data:image/png;base64,{{ key }}" alt="Key of the colours: {{ modality.label }} to the right, MRI upwards"></li>
{% endfor %}
</ul>
{% endif %}
<h2>Before you begin</h2>
<ul class="text">
<li>Dim the lights, sit as you do when you report, make the window as large as it can be, and set its zoom so that all of an image is seen.</li>
<li>You should see a small square inside both of these: <span class="patch black"><i></i></span> <span class="patch white"><i></i></span>. If not, change the brightness of the screen.</li>
<li>Time is taken for each image, but there is no hurry. It stops while this page is hidden, and between the blocks.</li>
<li>An answer that was confirmed cannot be changed.</li>
</ul>
<form id="who">
<p><label for="reader">Your name or number in this study</label>
<input id="reader" name="reader" required maxlength="30" pattern="[A-Za-z0-9_\-]+" autocomplete="off" spellcheck="false" aria-describedby="reader-help"></p>
<p class="note" id="reader-help">Letters, digits, - and _. Give the same name to resume where you stopped<span id="known"></span>.</p>
<p><button type="submit" class="main">Begin</button></p>
</form>
<p class="note">Study {{ page.study }}. For research; the lesions are drawn by a computer.</p>
</section>
<section id="message" hidden>
<h1 tabindex="-1" id="message-title"></h1>
<div id="message-text"></div>
<p class="tools"><button type="button" class="main" id="on">Continue (Enter)</button><button type="button" id="download" hidden>Download the answers</button></p>
<p class="note" id="kept" role="status"></p>
</section>
<section id="trial" hidden aria-labelledby="question">
<div class="bar"><h1 id="question"></h1><p id="progress"></p></div>
<div id="stage"></div>
<div id="rating" role="group" aria-label="How sure are you?" hidden></div>
<p class="tools"><button type="button" class="main" id="confirm">Confirm (Enter)</button><span id="status" role="status"></span></p>
</section>
</main>
<script type="application/json" id="study">{{ page|embedded }}</script>
<script>
{{ script }}
</script>
</body>
</html>
