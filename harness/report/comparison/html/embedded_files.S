// The page's own files, included as they are. KVPROOF_PAGE is this folder, in quotes.
#include "harness/embed.inc"

embed kvproof_comparison_html, KVPROOF_PAGE, "comparison.html"
embed kvproof_comparison_script, KVPROOF_PAGE, "comparison.js"
