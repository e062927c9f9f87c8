#include "harness/report/export/escape.h"

#include "tests/support/catch.h"

using namespace kvproof;

TEST_CASE("printable keeps line ends and backslashes and writes out what a terminal would obey", "[report][escape]") {
  CHECK(printable("a\nb\\c") == "a\nb\\c");
  CHECK(printable("\x1b[0m\t\r\n") == "\\x1b[0m\\t\\r\n");
  CHECK(printable(std::string("\0", 1)) == "\\x00");
  CHECK(printable("\xff\n") == "\xEF\xBF\xBD\n");
  CHECK(printable("\u202e日本") == "\\u202e日本");
  CHECK(printable("").empty());
}

TEST_CASE("a CSV field is quoted only where it must be", "[report][escape]") {
  CHECK(csv_text("plain text") == "plain text");
  CHECK(csv_text("a,b") == "\"a,b\"");
  CHECK(csv_text("say \"hi\"") == "\"say \"\"hi\"\"\"");
  CHECK(csv_text("a\nb") == "\"a\nb\"");
  CHECK(csv_text(" a") == "\" a\"");
  CHECK(csv_text("=1+1") == "'=1+1");
  CHECK(csv_text("@x,y") == "\"'@x,y\"");
  CHECK(csv_text("  -x") == "'  -x");
  CHECK(csv_text("a=b") == "a=b");
}

TEST_CASE("XML gets no character that it forbids", "[report][escape]") {
  CHECK(xml_text("a\x01\x0b\n<") == "a\\x01\\x0b\n<");
  CHECK(xml_text("\xEF\xBF\xBE|\xEF\xBF\xBF|\xEF\xBF\xBD") == "\\ufffe|\\uffff|\xEF\xBF\xBD");
}

TEST_CASE("a code span holds any text", "[report][escape]") {
  CHECK(markdown_code("demo/france") == "`demo/france`");
  CHECK(markdown_code("a`b") == "``a`b``");
  CHECK(markdown_code("``") == "``` `` ```");
  CHECK(markdown_code(" a ") == "`  a  `");
  CHECK(markdown_code("") == "`  `");
  CHECK(markdown_code("a\nb") == "`a\\nb`");
  CHECK(markdown_code("a|<b>") == "<code>a&#124;&#60;b&#62;</code>");
}

TEST_CASE("prose shows as it is and nothing in it is markup", "[report][escape]") {
  CHECK(markdown_prose("row 2 parts at step 0; 8.31 apart") == "row 2 parts at step 0; 8.31 apart");
  CHECK(markdown_prose("a_b *c* `d` [e](f) ~g~ |h| \\") == "a\\_b \\*c\\* \\`d\\` \\[e\\](f) \\~g\\~ \\|h\\| \\\\");
  CHECK(markdown_prose("<b> & c") == "&lt;b&gt; &amp; c");
  CHECK(markdown_prose("@all") == "@&#8203;all");
  CHECK(markdown_prose("fixes #12") == "fixes \\#&#8203;12");
  CHECK(markdown_prose("see http://x and www.x") == "see http:&#8203;//x and www&#8203;.x");
  CHECK(markdown_prose("note: text") == "note: text");
  CHECK(markdown_prose("$x$") == "<span>$</span>x<span>$</span>");
  CHECK(markdown_prose("# no heading") == "\\# no heading");
  CHECK(markdown_prose("12. no list") == "12\\. no list");
  CHECK(markdown_prose("1) no list") == "1\\) no list");
  CHECK(markdown_prose("- no list") == "\\- no list");
  CHECK(markdown_prose("    no code") == "&#32;   no code");
  CHECK(markdown_prose("").empty());
}
