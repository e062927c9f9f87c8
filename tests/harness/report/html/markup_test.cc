#include "harness/report/html/markup.h"

#include <stdexcept>

#include "tests/support/catch.h"

using namespace kvproof;

TEST_CASE("text cannot become an element, an attribute or an entity", "[report][html]") {
  CHECK(html_text("<b>&amp;\"'") == "&lt;b&gt;&amp;amp;&quot;&#39;");
  CHECK(html_text("Köln, 12 µs\n") == "Köln, 12 µs\n");
}

TEST_CASE("a data block ends nowhere within and parses back", "[report][html]") {
  const Json data = {{"</script>", "<!--<script>"},
                     {"quotes", "\"'\\"},
                     {"control", std::string("\0\x1b\n\x7f", 4)},
                     {"line", "\u2028é"}};
  const std::string block = data_block(data);
  CHECK(block.find('<') == std::string::npos);
  for (const char c : block) CHECK((c >= ' ' && c <= '~') == true);
  CHECK(Json::parse(block) == data);
}

TEST_CASE("numbers of a data block are the record's to the last bit", "[report][html]") {
  const Json data = {0.1 + 0.2, 1e-300, 5e-324, 1.7976931348623157e308, 9007199254740993, 1.43051e-06, -0.0};
  CHECK(Json::parse(data_block(data)) == data);
}

TEST_CASE("bytes that are not UTF-8 do not stop a data block", "[report][html]") {
  CHECK(Json::parse(data_block({{"id", "a\xFFz"}})) == Json({{"id", "a\uFFFDz"}}));
}

TEST_CASE("a part is put in as it is, whatever it holds", "[report][html]") {
  CHECK(filled("<a>{{one}}</a>{{two}}{{one}}", {{"one", "{{two}}"}, {"two", "$1\\1&"}}) ==
        "<a>{{two}}</a>$1\\1&{{two}}");
}

TEST_CASE("a page and its parts that do not fit are a bug", "[report][html]") {
  CHECK_THROWS_AS(filled("{{one}}", {}), std::logic_error);
  CHECK_THROWS_AS(filled("", {{"one", "1"}}), std::logic_error);
}
