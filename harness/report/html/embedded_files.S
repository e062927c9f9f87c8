// The page's files and Chart.js, included as they are. KVPROOF_PAGE is this folder, KVPROOF_CHART_FOLDER and
// KVPROOF_CHART_FILE are the library's: all in quotes.
#include "harness/embed.inc"

embed kvproof_frame_html, KVPROOF_PAGE, "frame.html"
embed kvproof_frame_css, KVPROOF_PAGE, "page.css"
embed kvproof_frame_parts, KVPROOF_PAGE, "chart_parts.js"
embed kvproof_frame_drawing, KVPROOF_PAGE, "drawing.js"
embed kvproof_frame_chart_js, KVPROOF_CHART_FOLDER, KVPROOF_CHART_FILE
embed kvproof_run_html, KVPROOF_PAGE, "run.html"
embed kvproof_run_charts, KVPROOF_PAGE, "charts.js"
embed kvproof_run_script, KVPROOF_PAGE, "run.js"
embed kvproof_trend_html, KVPROOF_PAGE, "trend.html"
embed kvproof_trend_script, KVPROOF_PAGE, "trend.js"
