// Text of a record inside HTML, where none of it may become markup. Inside harness/report/html only.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "harness/record/record.h"

namespace kvproof {

/// As text of an element or of an attribute in double quotes: & < > " ' are escaped, nothing else is touched.
std::string html_text(std::string_view text);

/// JSON that a <script> element can hold: ASCII, and without a '<' that could end it or begin a comment.
/// Bytes that are not UTF-8 become U+FFFD.
std::string data_block(const Json& data);

/// The page with each {{name}} replaced by its part; what a part holds is not looked at again.
/// throws std::logic_error: a name without a part, or a part without a name
std::string filled(std::string_view page, const std::map<std::string, std::string>& parts);

}  // namespace kvproof
